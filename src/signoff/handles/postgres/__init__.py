"""The PostgreSQL handle: reading that cannot write, and writing where the access allows it.

address     where a server is and who we are there; imports no client library
handle      `Postgres`, what tests use as ``db`` and ``replica``
session     further sessions, of the application's role for instance
connection  one connection with a deadline on everything
failures    which of our errors a failure of the server or the client library is
queries     the questions that can be put, and how they become evidence
reading     read-only transactions on a connection that is kept
statement   names and parameters put into SQL
guard       which statements read only
mentions    the names in a statement
catalogue   what a statement can reach, looked up in the server's own catalogue
reviewed    the functions and extensions that were reviewed, with the reasons
plan        query plans
sampling    uniform random samples whose cost does not grow with the table
privileges  what the credentials could write
"""

"""Readiness: everything around the database that must stand before the change."""

import re

import pytest

from signoff import checkpoint


@checkpoint("SEC-017")
@pytest.mark.read_only
def test_dashboard_shows_the_change(artifact, setting, expect):
    """The dashboard has a panel for each quantity on which the change is watched."""
    exported = artifact("monitoring_dashboard").json()
    panels = {panel["title"] for panel in exported.get("dashboard", exported)["panels"]}
    expect("panels missing", sorted(set(setting("dashboard_panels")) - panels)).equals([])


@checkpoint("SEC-051")
@pytest.mark.read_only
def test_pools_fit_into_the_limit(db, setting, expect):
    """The pools of all instances together take no more connections than the application can have."""
    # Some slots of the server are reserved; which settings reserve them depends on its version.
    admitted = db.scalar(
        """
        select least(nullif(datconnlimit, -1),
                     current_setting('max_connections')::integer
                     - (select sum(setting::integer) from pg_settings
                        where name in ('superuser_reserved_connections', 'reserved_connections')))
        from pg_database where datname = current_database()
        """
    )
    pools = setting("pool_size") * setting("application_instances")
    expect("connections that the pools may take", pools, "connections").between(1, admitted)


@checkpoint("SEC-072")
@pytest.mark.read_only
@pytest.mark.parametrize("contact", ["dba_team", "application_team", "on_call", "escalation"])
def test_contact_can_be_reached(contact, setting, expect):
    """The contact is a telephone number, a mail address or a link, and not a placeholder."""
    entry = setting(f"contact_{contact}")
    placeholders = re.findall(r"(?i)\[[^\]]*\]|<[^>]*>|\b(?:insert|tbd|todo|xxx)\b", entry)
    expect("placeholders", placeholders).equals([])
    addresses = re.findall(r"[^@\s]+@[^@\s]+|https?://\S+|\+?\d[\d ()/-]{5,}\d", entry)
    expect("ways to reach it", len(addresses)).at_least(1)

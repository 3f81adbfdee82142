"""Environment profiles: which systems an environment has, where, with which credentials, and what is allowed.

A profile is a TOML file, ``environments/NAME.toml``. It is validated as a whole before anything runs, and
every problem of a file is reported at once. Secrets are only referred to.
"""

from signoff.environment.components import (
    Absent,
    Api,
    Backups,
    Component,
    Elasticsearch,
    Host,
    Kubernetes,
    Metrics,
    Postgres,
    RabbitMQ,
    Redis,
    Replica,
    Role,
    Service,
    Timeouts,
    Tls,
)
from signoff.environment.declarations import Declarations, SystemDeclaration
from signoff.environment.load import Inspection, available_profiles, inspect_profile, load_profile
from signoff.environment.model import (
    COMPONENTS,
    Artifact,
    Limit,
    Procedure,
    Profile,
    StackCommand,
    System,
)

__all__ = [
    "COMPONENTS",
    "Absent",
    "Api",
    "Artifact",
    "Backups",
    "Component",
    "Declarations",
    "Elasticsearch",
    "Host",
    "Inspection",
    "Kubernetes",
    "Limit",
    "Metrics",
    "Postgres",
    "Procedure",
    "Profile",
    "RabbitMQ",
    "Redis",
    "Replica",
    "Role",
    "Service",
    "StackCommand",
    "System",
    "SystemDeclaration",
    "Timeouts",
    "Tls",
    "available_profiles",
    "inspect_profile",
    "load_profile",
]

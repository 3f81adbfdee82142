"""Query plans, from the server's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff.errors import UnexpectedAnswer

_CONDITIONS: Final = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter")


@dataclass(frozen=True)
class Plan:
    """A query plan.

    Attributes:
        root: the topmost node, as in the server's JSON.
        execution_ms: the server's execution time in ms; ``None`` if the statement was only planned.
        planning_ms: the server's planning time in ms.
    """

    root: Mapping[str, Any]
    execution_ms: float | None
    planning_ms: float | None

    @classmethod
    def of(cls, explained: Any, subject: str) -> Plan:
        """The plan in what ``EXPLAIN (FORMAT JSON)`` returned.

        Raises:
            UnexpectedAnswer: it is not a plan.
        """
        match explained:
            case [{"Plan": {"Node Type": str()} as root} as whole]:
                return cls(root, whole.get("Execution Time"), whole.get("Planning Time"))
        raise UnexpectedAnswer(
            subject,
            got=f"{explained!r:.200}",
            expected="a plan in JSON",
            next_step="Explain a statement that has a plan.",
        )

    @property
    def node_types(self) -> tuple[str, ...]:
        """The types of all nodes, the topmost first, for instance ``("Aggregate", "Seq Scan")``."""
        return tuple(node["Node Type"] for _, node in _nodes(self.root, 0))

    @property
    def text(self) -> str:
        """The plan as indented text: nodes, relations, estimates, conditions, rows, the whole time in ms."""
        lines = []
        for depth, node in _nodes(self.root, 0):
            lines.append(f"{'  ' * depth}{_headline(node)}")
            lines += [f"{'  ' * depth}    {name}: {node[name]}" for name in _CONDITIONS if name in node]
        if self.planning_ms is not None:
            lines.append(f"Planning: {self.planning_ms:.3f} ms")
        if self.execution_ms is not None:
            lines.append(f"Execution: {self.execution_ms:.3f} ms")
        return "\n".join(lines)


def _nodes(node: Mapping[str, Any], depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield depth, node
    for child in node.get("Plans", ()):
        yield from _nodes(child, depth + 1)


def _headline(node: Mapping[str, Any]) -> str:
    parts = [node["Node Type"]]
    if node.get("Parallel Aware"):
        parts.insert(0, "Parallel")
    if "Index Name" in node:
        parts.append(f"using {node['Index Name']}")
    if "Relation Name" in node:
        parts.append(f"on {node['Relation Name']}")
    parts.append(f"(cost {node.get('Startup Cost')}..{node.get('Total Cost')}, rows {node.get('Plan Rows')})")
    if "Actual Rows" in node:
        parts.append(f"(actual rows {node['Actual Rows']}, loops {node['Actual Loops']})")
    return " ".join(parts)

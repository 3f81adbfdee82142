"""Reading runbooks."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from signoff.errors import RunbookError
from signoff.runbook import load_runbook, load_runbooks

HEAD = """\
---
title: Demonstration
system: demo
owner: Team
sign_off: [DBA, Application owner]
rollback_decided_by: DBA on call
settings:
  window: {type: duration, about: How long to look back, default: 24h}
procedures: {apply: Applies the change}
---
# Demonstration
"""

BODY = """
Some *prose*.

## Migration {#migration .transitional}

- [ ] **DEM-1** The change applies
  without an error. {.rollback covers="DEM-3 DEM-4"}
- [ ] **DEM-2** The DBA has approved. {.manual role="DBA"}

### By hand

| step | command |
|------|---------|
| 1    | `apply` |

## Notes

- nothing to tick here
"""


def write(folder: Path, content: str, name: str = "demo") -> Path:
    """Write a runbook and return its path."""
    path = folder / name / "runbook.md"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_a_runbook_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Front matter, stages and checkpoints come out as the document states them."""
    runbook = load_runbook(write(tmp_path, HEAD + BODY))
    assert runbook.name == "demo"
    assert runbook.title == "Demonstration"
    assert runbook.sign_off_roles == ("DBA", "Application owner")
    assert runbook.settings["window"].default == "24h"
    (stage,) = runbook.stages
    assert (stage.id, stage.title, stage.transitional) == ("migration", "Migration", True)
    first, second = stage.checkpoints
    assert first.text == "The change applies without an error."
    assert first.covers == ("DEM-3", "DEM-4")
    assert first.rollback
    assert second.manual_role == "DBA"
    assert [block.kind for block in runbook.blocks] == [
        "heading",
        "prose",
        "heading",
        "checkpoint",
        "checkpoint",
        "heading",
        "prose",
        "heading",
        "prose",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("The change applies", "The change does not apply"),
        (".rollback ", ""),
        ('covers="DEM-3 DEM-4"', 'covers="DEM-3"'),
        ("{#migration", "{#deployment"),
    ],
)
def test_the_fingerprint_follows_the_meaning(tmp_path: Path, old: str, new: str) -> None:
    """A checkpoint whose text, attributes or stage changed has another fingerprint; others keep theirs."""
    before = load_runbook(write(tmp_path, HEAD + BODY)).checkpoints[0]
    changed = load_runbook(write(tmp_path, HEAD + BODY.replace(old, new), "changed")).checkpoints[0]
    reworded = load_runbook(write(tmp_path, HEAD + BODY.replace("*prose*", "words"), "reworded")).checkpoints[
        0
    ]
    assert changed.fingerprint != before.fingerprint
    assert reworded.fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        pytest.param(BODY, 1, "no front matter", id="no-front-matter"),
        pytest.param(HEAD.replace("owner:", "ovner:") + BODY, 4, "'ovner'", id="unknown-key"),
        pytest.param(HEAD.replace("owner: Team", "owner:") + BODY, 4, "owner = None", id="empty-value"),
        pytest.param(HEAD.replace("title:", "title: ["), 3, "cannot be read", id="broken-yaml"),
        pytest.param(HEAD.replace("duration", "time") + BODY, 8, "settings.window", id="setting-type"),
        pytest.param(HEAD, 1, "no checkpoint", id="no-checkpoint"),
        pytest.param(HEAD + BODY.replace("- [ ] **DEM-1**", "- [] **DEM-1**"), 17, "DEM-1", id="no-space"),
        pytest.param(HEAD + BODY.replace("- [ ] **DEM-1**", "- [x] **DEM-1**"), 17, "DEM-1", id="ticked"),
        pytest.param(HEAD + BODY.replace("- [ ] **DEM-1**", "- **DEM-1**"), 17, "DEM-1", id="no-box"),
        pytest.param(HEAD + BODY.replace("**DEM-1**", "DEM-1"), 17, "broken checkbox", id="no-id"),
        pytest.param(HEAD + BODY.replace("**DEM-1**", "**dem 1**"), 17, "'dem 1'", id="wrong-id"),
        pytest.param(HEAD + BODY.replace("  without", "  - [ ] nested"), 17, "broken checkbox", id="nested"),
        pytest.param(HEAD + BODY.replace("- [ ] **DEM-1**", "1. [ ] **DEM-1**"), 17, "DEM-1", id="numbered"),
        pytest.param(
            HEAD + BODY.replace(" {#migration .transitional}", ""), 17, "outside a stage", id="stage"
        ),
        pytest.param(HEAD + BODY.replace(".transitional", ".transitory"), 15, "'transitory'", id="class"),
        pytest.param(HEAD + BODY.replace(".rollback", ".rolback"), 17, "'rolback'", id="attribute"),
        pytest.param(HEAD + BODY.replace("DEM-4", "DEM4"), 17, "'DEM4'", id="covers"),
        pytest.param(HEAD + BODY.replace(' role="DBA"', ""), 19, "manual", id="manual-without-role"),
        pytest.param(HEAD + BODY.replace(".manual ", ""), 19, "role", id="role-without-manual"),
        pytest.param(HEAD + BODY.replace('DEM-4"}', "DEM-4}"), 17, "cannot be read", id="braces"),
        pytest.param(HEAD + BODY + "\n## Again {#migration}\n", 31, "second time", id="stage-twice"),
    ],
)
def test_a_broken_runbook_is_refused_with_its_line(
    tmp_path: Path, content: str, line: int, message: str
) -> None:
    """What is wrong with a document is said with the line it stands on."""
    path = write(tmp_path, content)
    with pytest.raises(RunbookError) as caught:
        load_runbook(path)
    assert caught.value.subject == f"{path}:{line}"
    assert message in str(caught.value)


def test_a_runbook_in_a_wrong_encoding(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the offset of the byte."""
    path = write(tmp_path, HEAD + BODY)
    path.write_bytes((HEAD + BODY).replace("Team", "Équipe").encode("latin-1"))
    with pytest.raises(RunbookError, match="not UTF-8 at offset 45"):
        load_runbook(path)


@pytest.mark.parametrize("id_", ["DEM-1", "DEM-3"], ids=["checkpoint", "covered"])
def test_an_id_stands_once_over_all_runbooks(tmp_path: Path, id_: str) -> None:
    """An id in two runbooks is refused, also when one of them only covers it."""
    write(tmp_path, HEAD + BODY)
    other = HEAD + dedent(f"""
        ## Checks {{#checks}}

        - [ ] **{id_}** Something else holds.
        """)
    write(tmp_path, other, "other")
    with pytest.raises(RunbookError, match=f"{id_}, which stands at"):
        load_runbooks(tmp_path)


def test_a_folder_without_runbooks(tmp_path: Path) -> None:
    """A suite without runbooks is refused rather than green."""
    with pytest.raises(RunbookError, match="no runbook"):
        load_runbooks(tmp_path)

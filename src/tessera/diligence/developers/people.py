"""Who wrote a commit: one person's addresses put together, programs told from people.

Names and addresses in a commit are what its author typed. So a name can be hidden, and others can
be invented; what is counted here is an upper bound of the people, and the limits are stated.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_bot", "person", "signers"]

_HOSTED: Final = re.compile(r"(?:\d+\+)?([^@+]+)@users\.noreply\.(.+)")
_SIGNED: Final = re.compile(r"\s*(?P<name>[^<]*?)\s*<(?P<mail>[^<>]*)>")
_MOST_SIGNERS: Final = 100

_BOT_NAMES: Final = re.compile(
    r"""
    \[bot\] | (?: ^ | [^a-z]) (?:bot|autobot) (?: $ | [^a-z] )
    | ^ (?: dependabot | renovate | greenkeeper | mergify | codecov | allcontributors
        | semantic-release | release-please | github[ -]actions? | gitlab[ -]ci | travis[ -]ci
        | circleci | azure[ -]pipelines | pre-commit | imgbot | pyup | deepsource
        | restyled | buildbot | continuous[ -]integration | actions-user | copybara
        | auto-?commit(?:ter)? ) (?: $ | [^a-z] )
    | ^ (?: jenkins | ci | cron | snyk | weblate | transifex | crowdin | bors | homu | web-flow ) $
    """,
    re.VERBOSE,
)
_BOT_MAILS: Final = re.compile(
    r"""
    \[bot\]@ | [+.-]bot@
    | ^ (?: action | actions | bot | bots | buildbot | ci | jenkins | no-?reply | robot | travis ) @
    | @ (?: dependabot\.com | renovateapp\.com | pre-commit\.ci | semantic-release\.org
        | travis-ci\.(?:com|org) | greenkeeper\.io | snyk\.io | weblate\.org ) $
    """,
    re.VERBOSE,
)
# A person may be called Claude; at these addresses nobody is.
_AGENT_NAMES: Final = re.compile(r"^(?:copilot|claude|codex|devin|cursor|aider|gemini)(?:$|[^a-z])")
_AGENT_MAILS: Final = re.compile(
    r"@(?:anthropic|openai|cursor|aider|devin|cognition)\.|copilot|agent"
)


def person(mail: str) -> str:
    """Return what an address is counted as.

    A host's addresses that stand for a person (`1234+name@users.noreply.…`) lose their number, as
    the same person has them with and without.
    """
    folded = mail.strip().casefold()
    hosted = _HOSTED.fullmatch(folded)
    return f"{hosted[1]}@users.noreply.{hosted[2]}" if hosted else folded


def is_bot(name: str, mail: str) -> bool:
    """Whether this is a program, by the names that programs use.

    A program under a person's name is not found so; what it writes tells (`churn_quality`).

    Examples
    --------
    >>> is_bot("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.example")
    True
    >>> is_bot("Abbot Talbot", "abbot@mail.example"), is_bot("Claude Shannon", "c@mail.example")
    (False, False)
    """
    name, mail = name.strip().casefold(), mail.strip().casefold()
    agent = _AGENT_NAMES.search(name) and _AGENT_MAILS.search(mail)
    return bool(agent or _BOT_NAMES.search(name) or _BOT_MAILS.search(mail))


def signers(lines: str) -> list[tuple[str, str]]:
    """Read `Name <address>` from the values of Co-authored-by, one per line, a hundred at most."""
    matches = (_SIGNED.match(line) for line in lines.split("\x1f")[:_MOST_SIGNERS])
    return [(one["name"], one["mail"]) for one in matches if one and one["mail"].strip()]

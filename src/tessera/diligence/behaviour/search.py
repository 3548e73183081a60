"""Find a state in which a script of calls works: flip the branch that refused, try again.

A slot that was observed is a fact and never changed. A slot that nobody observed is free; the
search gives it a value that the failed comparison asks for, and keeps what it assumed, so that the
result can name it. Bounded in attempts; what is not found is unknown, not absent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tessera.diligence.behaviour.candidates import ADDRESS, argument_words, slot_words
from tessera.diligence.behaviour.functions import Function, functions_of
from tessera.diligence.behaviour.ground import Ground
from tessera.diligence.behaviour.machine import RICH, Machine
from tessera.diligence.behaviour.origins import CALLER, VALUE, Field, Origin
from tessera.diligence.behaviour.runs import Branch, Limits, Run
from tessera.diligence.behaviour.scripts import (
    FUND,
    SELF,
    UNIT,
    Cast,
    Holdings,
    Outcome,
    Step,
    calldata,
)
from tessera.diligence.behaviour.solutions import Choices, Gate, Solution
from tessera.diligence.behaviour.tracing import ARGUMENT
from tessera.diligence.behaviour.world import address_text
from tessera.spec.signatures import keccak
from tessera.units import MAX_UINT256

__all__ = ["BALANCE_OF", "MONEY", "Stage"]

BALANCE_OF = bytes.fromhex("70a08231")
_MOST_ATTEMPTS = 40
MONEY = 10**15  # base units of an observed currency: much for 18 decimals' dust, enough for 6
# Opcodes that one search may spend, and runs that may end at their own bound before it gives up.
_MOST_STEPS = 250_000
_MOST_STOPPED = 1


class Stage:
    """One contract in one sandbox, with its cast.

    Parameters
    ----------
    ground
        What was observed.
    subject
        Address of the contract on trial, lower case.
    limits
        Bounds of the sandbox.
    holders
        Accounts that are known to hold the token, the largest first; the experiment's holders
        get theirs from them.
    functions
        What the contract dispatches to; found in its code where None.
    """

    def __init__(
        self,
        ground: Ground,
        subject: str,
        limits: Limits | None = None,
        holders: Sequence[str] = (),
        functions: Sequence[Function] | None = None,
    ) -> None:
        self.machine = Machine(ground, limits)
        self.subject = bytes.fromhex(subject[2:])
        self.name = subject
        code = ground.code(subject) or b""
        self.cast = Cast(keccak(code + self.subject + ground.head.number.to_bytes(8, "big")))
        self.functions = functions_of(code) if functions is None else tuple(functions)
        self.holders = tuple(holders)
        self.has_balances = any(f.selector == BALANCE_OF for f in self.functions)
        self.base: dict[tuple[str, int], int] = {}
        self.weights: dict[bytes, int] = {}
        self.asks_balances = False  # whether `balanceOf` is worth its time at each step
        self.unit = UNIT
        self.balance_place: int | None = None  # slot of the first holder's balance, where known
        self.contracts: set[int] = set()  # addresses given to contracts that nobody observed
        world = self.machine.world
        self.machine.cast.update(self.cast.everybody())
        self.machine.strangers.poor.add(self.subject)
        for account in self.cast.everybody():
            world.set_balance(account, RICH)
        # Observed currencies that the contract calls, and where they keep the first holder's money.
        self.currencies: dict[bytes, int] = {}
        # Slots that hold a time, set to a recent one: a contract made long ago is rare.
        self.clocks: dict[tuple[str, int], int] = {}
        self.bare = world.record()  # the state before anybody was given anything

    def weigh(self, first: int, second: int, rest: int) -> None:
        """Say what the holders have, for strangers that are asked."""
        self.weights = {self.cast.first: first, self.cast.second: second, self.cast.rest: rest}
        self.machine.strangers.weights = {
            int.from_bytes(account, "big"): weight for account, weight in self.weights.items()
        }

    # Looking ------------------------------------------------------------------------------------
    def ask(self, data: bytes, assumed: Mapping[tuple[str, int], int] | None = None) -> Run:
        """Call a function that only reads; nothing it does is kept."""
        self._assume(self.base if assumed is None else assumed)
        return self.machine.call(self.subject, data, self.cast.outsider, static=True)

    def balance_of(self, account: bytes) -> int:
        """What the contract's own `balanceOf` says; 0 where it has none."""
        if not self.has_balances:
            return 0
        run = self.machine.call(
            self.subject, BALANCE_OF + account.rjust(32, b"\x00"), self.cast.outsider, static=True
        )
        return run.word or 0 if run.success else 0

    def _own_of(self, account: bytes) -> int:
        """Balance of the token on trial: from its slot where that is known, which is quick."""
        if self.balance_place is None:
            return self.balance_of(account) if self.asks_balances else 0
        keys = self.machine.keys
        first = int.from_bytes(self.cast.first, "big")
        key = keys.rekeyed(self.balance_place, first, int.from_bytes(account, "big"))
        return self.machine.world.get_storage(self.subject, key)

    def _money_key(self, currency: bytes, account: bytes) -> int:
        """Where an observed currency keeps what `account` has."""
        first = int.from_bytes(self.cast.first, "big")
        return self.machine.keys.rekeyed(
            self.currencies[currency], first, int.from_bytes(account, "big")
        )

    def give(self, currency: bytes, account: bytes) -> None:
        """Put more of an observed currency into an account, from nowhere."""
        key = self._money_key(currency, account)
        held = self.machine.world.get_storage(currency, key)
        # A word that was tried there may be the largest there is: nobody can be paid on top of it.
        much = held + MONEY if held + MONEY <= MAX_UINT256 else MONEY
        self.machine.world.set_storage(currency, key, much)

    def holdings(self, account: bytes) -> Holdings:
        """All that `account` has now."""
        world, strangers = self.machine.world, self.machine.strangers
        own = self._own_of(account)
        return Holdings(
            ether=world.get_balance(account),
            currencies={
                address_text(currency): strangers.balance(currency, account)
                for currency in sorted(world.strangers)
            }
            | {
                address_text(currency): world.get_storage(
                    currency, self._money_key(currency, account)
                )
                for currency in self.currencies
            },
            own=own,
        )

    def settle(self, step: Step, arguments: Sequence[int]) -> bool:
        """Do one step for good, with these arguments; False where it is refused."""
        if step.function is None:
            return False
        choices = Choices(words=dict(self.base))
        choices.arguments.update(
            {(step.function.selector, place): word for place, word in enumerate(arguments)}
        )
        self._assume(choices.words)
        self.machine.world.set_balance(step.sender, RICH)
        return self._run(step, choices).success

    def _assume(self, words: Mapping[tuple[str, int], int]) -> None:
        self.machine.world.assumed = words
        self.machine.chosen = words

    # Searching ----------------------------------------------------------------------------------
    def solve(
        self,
        script: Sequence[Step],
        *,
        entries: bool = False,
        fund: bool = True,
        attempts: int = _MOST_ATTEMPTS,
        fixed: Mapping[tuple[str, int], int] | None = None,
        frozen: Collection[tuple[str, int]] = (),
        start: Solution | None = None,
    ) -> Solution:
        """Run `script` until it works, assuming words where nobody observed any.

        Parameters
        ----------
        entries
            Whether entries that a mapping keeps for a holder may be assumed.
        fund
            Whether ether and every strange currency lie in the contract from the start.
        attempts
            Runs of the script at most.
        fixed
            Words assumed from the start.
        frozen
            Places that may not be assumed: what is there has to be written by the script.
        start
            A solution whose words, arguments and callers are the first to be tried.
        """
        choices = Choices(words={**self.base, **(fixed or {})}, frozen=frozenset(frozen))
        if start is not None and start.choices is not None:
            choices.restore(start.choices)
        solution = Solution()
        spent = stopped = 0
        lost: tuple[int, Solution, Choices] | None = None
        for _ in range(attempts):
            failed, solution = self._attempt(script, choices, solution, fund=fund)
            solution.assumed = {
                place: word for place, word in choices.words.items() if place not in self.base
            }
            solution.entries = set(choices.entries)
            solution.choices = choices
            if failed is None:
                solution.works = True
                return solution
            spent += sum(run.steps for run in solution.runs)
            stopped += solution.runs[-1].stopped
            if spent > _MOST_STEPS or stopped >= _MOST_STOPPED:
                break
            if solution.runs[-1].success:
                lost = (failed, solution, choices.copied())
            elif lost is not None and failed <= lost[0]:
                # What worked without paying is refused now. Places never tried may mend it; where
                # none does, the last words are taken back.
                if self._mend(script[failed], solution, choices, entries=entries, fresh=True):
                    continue
                failed, solution = lost[0], lost[1]
                choices.restore(lost[2])
            if not self._mend(script[failed], solution, choices, entries=entries):
                return solution
        solution.stopped = True
        return solution

    def _attempt(
        self, script: Sequence[Step], choices: Choices, before: Solution, *, fund: bool
    ) -> tuple[int | None, Solution]:
        """One run of the whole script from the start; the number of the step that failed."""
        machine = self.machine
        mark, warped = machine.world.record(), machine.warped
        self._assume(choices.words)
        solution = Solution(gates=before.gates, attempted=before.attempted)
        failed: int | None = None
        if fund:
            self._fund()
        everybody = self.cast.everybody()
        for number, step in enumerate(script):
            machine.warp(step.after)
            held = {account: self.holdings(account) for account in everybody}
            run = self._run(step, choices)
            if fund:
                self._fund()  # a currency met for the first time has money from then on
            solution.runs.append(run)
            solution.attempted = solution.attempted or run.attempts > 0
            gained = {
                account: self.holdings(account).gained(held[account]) for account in everybody
            }
            outcome = Outcome(step, run, gained)
            if run.success and (not step.pays or outcome.paid(step.holder) > 0):
                solution.outcomes.append(outcome)
                continue
            failed = number
            break
        machine.world.discard(mark)
        machine.warped = warped
        return failed, solution

    def _fund(self, *, again: bool = False) -> None:
        """Put ether and every strange currency into the contract: once, or once more."""
        world, strangers = self.machine.world, self.machine.strangers
        if again or world.get(("funded", None), None) is None:
            world.put(("funded", None), 1)
            world.set_balance(self.subject, world.get_balance(self.subject) + FUND)
        for currency in sorted(world.strangers):
            if again or world.get(("funded", currency), None) is None:
                world.put(("funded", currency), 1)
                strangers.credit(currency, self.subject, FUND)
        for currency in self.currencies:
            if again or world.get(("funded", currency), None) is None:
                world.put(("funded", currency), 1)
                self.give(currency, self.subject)

    def _run(self, step: Step, choices: Choices) -> Run:
        if step.refill:
            self._fund(again=True)
            return Run(success=True)
        if step.function is None:
            return self.machine.call(self.subject, b"", step.sender, value=step.value)
        selector = step.function.selector
        sender = choices.senders.get(step.sender, step.sender)
        holder = sender if step.holder == step.sender else step.holder
        chosen = {
            place: word
            for (function, place), word in choices.arguments.items()
            if function == selector
        }
        data = calldata(step.function, holder, chosen, (self.cast.first, self.cast.second))
        value = choices.values.get(selector, step.value)
        return self.machine.call(self.subject, data, sender, value=value)

    # Mending ------------------------------------------------------------------------------------
    def _mend(
        self,
        step: Step,
        solution: Solution,
        choices: Choices,
        *,
        entries: bool,
        fresh: bool = False,
    ) -> bool:
        """Change one word so that the step may go another way; False where nothing is left.

        With `fresh`, only in a place never tried, and only for what refused last.
        """
        run = solution.runs[-1]
        branches = [b for b in run.branches if b.origin is not None]
        if not run.success:
            refused = [b for b in branches if b.frame in run.failed_frames]
            gate = self._gate(refused, step)
            if gate is not None:
                solution.gates.append(gate[0])
                if step.open:
                    solution.gated = True
                    return False
                if self._open(gate, step, choices):
                    return True
            branches = refused or branches
        if fresh:
            last = next((b for b in reversed(branches) if b.origin and b.origin.fields), None)
            return last is not None and self._flip(
                last, step, solution, choices, entries=entries, fresh=True
            )
        for branch in reversed(branches):
            if self._flip(branch, step, solution, choices, entries=entries):
                return True
        # An earlier step may have worked and left too little for this one.
        for outcome in reversed(solution.outcomes):
            for branch in reversed(outcome.run.branches):
                if self._flip(branch, outcome.step, solution, choices, entries=entries):
                    return True
        return False

    def _gate(self, branches: Sequence[Branch], step: Step) -> tuple[Gate, Field | int] | None:
        """Whether the branch that refused asks who calls."""
        for branch in reversed(branches[-2:]):
            for comparison in branch.origin.comparisons if branch.origin else ():
                for value, origin, other in comparison.sides():
                    if not _is_caller(origin) or value == other:
                        continue
                    rest = (
                        comparison.right_origin
                        if origin is comparison.left_origin and value == comparison.left
                        else comparison.left_origin
                    )
                    if rest is None:
                        account = address_text(other.to_bytes(32, "big")[12:])
                        return Gate(None, account), other
                    if rest.exact is not None and rest.exact.where.startswith("0x"):
                        known = self.machine.world.observed(*rest.exact.place)
                        named = None
                        if known is not None:
                            named = address_text(
                                (known >> rest.exact.shift & ADDRESS).to_bytes(20, "big")
                            )
                        return Gate(rest.exact, named), rest.exact
        if not step.open or not branches or branches[-1].origin is None:
            return None
        caller = int.from_bytes(step.sender, "big")
        for found in branches[-1].origin.fields:
            narrow = found.mask in (1, 0xFF)
            if (
                narrow
                and found.where == self.name
                and self.machine.keys.mentions(found.key, caller)
            ):
                return Gate(found, None, listed=True), found
        return None

    def _open(self, gate: tuple[Gate, Field | int], step: Step, choices: Choices) -> bool:
        """Let the privileged account through: write it where the gate looks, or call as it."""
        where = gate[1]
        if isinstance(where, int):
            if choices.senders.get(step.sender) is not None or not where:
                return False
            choices.senders[step.sender] = where.to_bytes(32, "big")[12:]
            self.machine.world.set_balance(choices.senders[step.sender], RICH)
            return True
        if not self._is_free(where):
            known = self.machine.world.observed(*where.place)
            account = ((known or 0) >> where.shift) & ADDRESS
            if choices.senders.get(step.sender) is not None or not account:
                return False
            choices.senders[step.sender] = account.to_bytes(20, "big")
            self.machine.world.set_balance(choices.senders[step.sender], RICH)
            return True
        return self._put(where, int.from_bytes(step.sender, "big"), choices)

    def _flip(
        self,
        branch: Branch,
        step: Step,
        solution: Solution,
        choices: Choices,
        *,
        entries: bool,
        fresh: bool = False,
    ) -> bool:
        """Try the next word for a field that the branch depends on."""
        origin = branch.origin
        if origin is None:
            return False
        if VALUE in origin.sources and self._send_ether(step, choices):
            return True
        asked = self._gate([branch], step) if step.open else None
        if asked is not None and not asked[0].listed:
            # Whoever the place names may pass: to write our caller there would be to open a gate.
            solution.gates.append(asked[0])
            solution.gated = True
            return False
        fields = sorted(origin.fields, key=lambda f: (f.where, f.key, f.shift))
        untried = [found for found in fields if found not in choices.left]
        tried = [] if fresh else [found for found in fields if found in choices.left]
        # A field never tried before one more word for a field that was: else the first takes all.
        return any(
            self._next_word(found, branch, step, choices, entries=entries)
            for found in (*untried, *tried)
        )

    @staticmethod
    def _send_ether(step: Step, choices: Choices) -> bool:
        """Send ether along where the branch looks at it and none was sent yet."""
        function = step.function
        if function is None or function.mutability != "payable" or step.value:
            return False
        if function.selector in choices.values:
            return False
        choices.values[function.selector] = FUND
        return True

    def _next_word(
        self, found: Field, branch: Branch, step: Step, choices: Choices, *, entries: bool
    ) -> bool:
        """Give a field the next word worth trying; False where none is left or it is not free."""
        if found.where == ARGUMENT:
            return self._next_argument(found, branch, step, choices)
        kept = self.keeper(found.key)
        holders = kept is not None and kept != self.cast.owner
        if not self._is_free(found) or found.place in choices.frozen or (holders and not entries):
            return False
        word = choices.words.get(found.place, 0) >> found.shift & found.mask
        if word in self.contracts:
            return False  # a contract was wanted there, and is
        if found not in choices.left:
            stranger = self._stranger(f"contract at {found.where} {found.key} {found.shift}")
            choices.left[found] = slot_words(
                found,
                branch.origin or Origin(),
                entry=kept is not None,
                stranger=stranger,
                now=self.machine.ground.head.timestamp,
                total=sum(self.weights.values()),
            )
        left = choices.left[found]
        while left:
            if self._put(found, left.pop(0), choices):
                if holders:
                    choices.entries.add(found.place)
                return True
        return False

    def _stranger(self, role: str) -> int:
        """Address of a contract that nobody observed, as a word."""
        address = int.from_bytes(self.cast.account(role), "big")
        self.contracts.add(address)
        return address

    def _next_argument(self, found: Field, branch: Branch, step: Step, choices: Choices) -> bool:
        function = step.function
        if function is None or found.key >= len(function.types):
            return False
        marked = replace(found, where=f"{ARGUMENT} {function.selector.hex()}")
        if marked not in choices.left:
            choices.left[marked] = argument_words(
                found,
                branch.origin or Origin(),
                function.types[found.key],
                stranger=self._stranger(f"contract named in argument {found.key}"),
                outsider=int.from_bytes(self.cast.outsider, "big"),
                money=MONEY // 1000,
            )
        left = choices.left[marked]
        if not left:
            return False
        choices.arguments[function.selector, found.key] = left.pop(0)
        return True

    def _is_free(self, found: Field) -> bool:
        """Whether nobody observed the place, and no setup of ours fixed it."""
        if not found.where.startswith("0x"):
            return False
        if found.place in self.base:
            return False
        if bytes.fromhex(found.where[2:]) in self.machine.world.strangers:
            return True
        return self.machine.world.observed(*found.place) is None

    def keeper(self, key: int) -> bytes | None:
        """For which of the cast a mapping keeps `key`."""
        for account in self.cast.everybody():
            if self.machine.keys.mentions(key, int.from_bytes(account, "big")):
                return account
        return None

    def _put(self, found: Field, word: int, choices: Choices) -> bool:
        """Assume `word` in a field, a holder's for both alike; False where nothing changes."""
        kept = self.keeper(found.key)
        holders = {self.cast.first: 3, self.cast.second: 7}
        changed = False
        targets: list[tuple[Field, int]] = []
        if kept in holders:
            for account, share in holders.items():
                key = self.machine.keys.rekeyed(
                    found.key, int.from_bytes(kept or b"", "big"), int.from_bytes(account, "big")
                )
                value = self.weights.get(account, share * self.unit) if word == SELF else word
                targets.append((replace(found, key=key), value))
        else:
            targets.append((found, word))
        for target, value in targets:
            if value < 0 or value > target.mask:
                continue
            old = choices.words.get(target.place, 0)
            new = target.put(old, value)
            if new != old:
                choices.words[target.place] = new
                changed = True
        return changed


def _is_caller(origin: Origin | None) -> bool:
    return origin is not None and origin.sources == {CALLER} and not origin.fields

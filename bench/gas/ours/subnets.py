"""Subnets and Scores: what owners, publishers and validators pay, and whoever asks for data."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from bench.gas.chain import Contract, Receipt, account
from bench.gas.ours.market import DAY, WHO, Market, code
from bench.gas.rows import Action, Row
from tessera.spec.scores import Row as Scored

_TSR = 10**18
_ALL = 2**255
_TEMPO = 4_000
_RULES = (_TEMPO, 32_767, 65_535, 900_000, False, 64, 16, DAY, DAY, _TSR, _TSR)
_SALT = keccak(text="salt")
_URI = "https://validator.example.org/rows"


def measure(market: Market) -> list[Row]:
    """Measure a subnet of two validators and three models, through one epoch."""
    domain = _Domain(market)
    created = [domain.create().gas for _ in "12"]
    models = [domain.place_model(uid).gas for uid in range(3)]
    validators = [account("first validator"), account("second validator")]
    placed = [domain.place_validator(who, uid).gas for uid, who in enumerate(validators)]
    row = Scored({0: 65_535, 1: 1_000, 2: 7}, 3)
    for _ in range(2):
        # The second epoch is the warm one: both validators were there before.
        epoch = domain.turn_to_next()
        committed = [domain.commit(who, uid, row, epoch) for uid, who in enumerate(validators)]
        domain.pass_quarters(2)
        revealed = [domain.reveal(who, row, epoch) for who in validators]
    asked = [domain.ask(epoch, number).gas for number in range(2)]
    shown = [domain.show(epoch, number, row).gas for number in range(2)]
    return [
        Row(
            Action.CREATE_SUBNET,
            WHO,
            "Subnets.create",
            "the lock moved in",
            created[1],
            created[0],
        ),
        Row(
            Action.PLACE_MODEL,
            WHO,
            "Subnets.register_model",
            "TSR moved in and burned",
            models[2],
            models[0],
        ),
        Row(
            Action.PLACE_VALIDATOR,
            WHO,
            "Subnets.register_validator",
            "TSR moved in and burned; its bond read",
            placed[1],
            placed[0],
        ),
        Row(
            Action.COMMIT_SCORES,
            WHO,
            "Scores.commit",
            "place and bond read; the bond stays until the inputs are closed",
            committed[1],
            committed[0],
        ),
        Row(
            Action.REVEAL_SCORES,
            WHO,
            "Scores.reveal",
            "root, sum and stake of a row; 3 models or 4,096",
            revealed[1],
            revealed[0],
        ),
        Row(
            Action.ASK_SCORES,
            WHO,
            "Scores.ask",
            "the fee moved in; the row's bond frozen",
            asked[1],
            asked[0],
        ),
        Row(
            Action.SHOW_SCORES,
            WHO,
            "Scores.show",
            "64 scores as calldata, and in the event; the fee to the validator",
            shown[1],
            shown[0],
        ),
    ]


class _Domain:
    """A deployment of its own: the token, Bond, Subnets and Scores, and one subnet."""

    def __init__(self, market: Market) -> None:
        self._market, self._chain = market, market.chain
        founder = account("founder")
        ahead = [self._chain.next_contract(founder, number) for number in range(4)]
        self._token = self._chain.deploy(
            founder, code("NetworkToken"), 10**7 * _TSR, founder.address
        )
        self._bond = self._chain.deploy(
            founder,
            code("Bond"),
            *(self._token.address, market.registry.address),
            *(14 * DAY, 30 * DAY, 7 * DAY, DAY),
        )
        # Nothing measured here asks Epochs anything, so any address stands for it.
        self._subnets = self._chain.deploy(
            founder,
            code("Subnets"),
            *(self._token.address, market.registry.address, self._bond.address),
            *(ahead[3], founder.address, _TEMPO, 100 * _TSR, 10 * DAY, _TEMPO, 2 * DAY, 30 * DAY),
        )
        self._scores = self._chain.deploy(
            founder,
            code("Scores"),
            *(self._token.address, self._subnets.address, self._bond.address, _TSR),
        )
        self._publisher = self._funded(account("publisher"))
        self._asker = self._funded(account("keeper"))
        self._subnet = 1

    def create(self) -> Receipt:
        """Open a subnet."""
        return self._chain.transact(self._publisher, self._subnets, "create", _RULES, _ALL)

    def place_model(self, uid: int) -> Receipt:
        """Publish an asset and register it."""
        asset, _ = self._market.publish(endpoint=False)
        return self._chain.transact(
            *(self._publisher, self._subnets, "register_model", self._subnet, asset, uid, _ALL)
        )

    def place_validator(self, who: LocalAccount, uid: int) -> Receipt:
        """Stake and register."""
        self._funded(who)
        self._chain.transact(who, self._bond, "enlist", self._scores.address)
        self._chain.transact(who, self._bond, "stake", who.address, 1_000 * _TSR)
        return self._chain.transact(
            who, self._subnets, "register_validator", self._subnet, uid, _ALL
        )

    def turn_to_next(self) -> int:
        """Let time pass until the next epoch has just begun; its number."""
        start, tempo = self._chain.read(self._subnets, "clock_of", self._subnet)
        since = self._chain.now - start
        self._chain.pass_time(tempo - since % tempo)
        return int(since // tempo + 1)

    def pass_quarters(self, quarters: int) -> None:
        """Let a part of an epoch pass."""
        self._chain.pass_time(quarters * _TEMPO // 4)

    def commit(self, who: LocalAccount, uid: int, row: Scored, epoch: int) -> int:
        """Commit to a row; the gas."""
        said = self._chain.read(
            *(self._scores, "commitment_of", row.root, row.sum, _SALT, who.address),
            *(self._subnet, epoch),
        )
        return self._chain.transact(who, self._scores, "commit", self._subnet, uid, said).gas

    def reveal(self, who: LocalAccount, row: Scored, epoch: int) -> int:
        """Open a commit; the gas."""
        opened = (self._subnet, epoch, row.root, row.sum, _SALT, _URI)
        return self._chain.transact(who, self._scores, "reveal", *opened).gas

    def ask(self, epoch: int, number: int) -> Receipt:
        """Ask for the first leaf of a row."""
        return self._chain.transact(
            self._asker, self._scores, "ask", self._subnet, epoch, number, 0
        )

    def show(self, epoch: int, number: int, row: Scored) -> Receipt:
        """Show the first leaf of a row."""
        words, path = row.shown(0)
        return self._chain.transact(
            *(self._asker, self._scores, "show", self._subnet, epoch, number, 0),
            *(list(words), [tuple(node) for node in path]),
        )

    def _funded(self, who: LocalAccount) -> LocalAccount:
        founder = account("founder")
        self._chain.transact(founder, self._token, "transfer", who.address, 10_000 * _TSR)
        for spender in (self._bond, self._subnets, self._scores):
            self._approve(who, spender)
        return who

    def _approve(self, who: LocalAccount, spender: Contract) -> None:
        self._chain.transact(who, self._token, "approve", spender.address, 2**256 - 1)

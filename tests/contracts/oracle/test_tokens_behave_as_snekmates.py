"""Our tokens beside snekmate's: the same steps succeed and fail, and leave the same balances.

snekmate is AGPL: it is compiled here, in the tests, and nowhere else.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.compiling import compiled, mock
from rig.contract import NOBODY, READER, Contract, deployed
from rig.effort import times
from rig.engines import Reverted, new_engine
from rig.people import Person, person
from rig.signing import domain_of, sign, twin
from rig.system import deploy_world

PEOPLE = [person(f"holder {number}") for number in range(3)]
DEPLOYER = person("deployer")
ADDRESSES = [*(who.address for who in PEOPLE), NOBODY]
PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]
addresses = st.sampled_from(ADDRESSES)
senders = st.sampled_from(PEOPLE)
amounts = st.one_of(st.integers(0, 200), st.sampled_from([2**256 - 1, 2**255]))


def _outcome(token: Contract, name: str, arguments: list[object], by: str = READER) -> object:
    try:
        return token(name, *arguments, by=by)
    except Reverted:
        return Reverted


def _names(contract: Contract, outcome: object) -> list[tuple[str, list[object]]]:
    if outcome is Reverted:
        return []
    return [(event.name, list(event.arguments.values())) for event in contract.events()]


erc20_steps = st.one_of(
    st.tuples(st.just("transfer"), addresses, amounts),
    st.tuples(st.just("approve"), addresses, amounts),
    st.tuples(st.just("transferFrom"), st.sampled_from(ADDRESSES[:3]), addresses, amounts),
    st.tuples(
        st.just("permit"),
        senders,
        senders,
        amounts,
        st.integers(-1, 1),
        st.sampled_from(["good", "good", "high s", "v of 0", "old nonce", "another amount"]),
    ),
)


@times(1)
@given(story=st.lists(st.tuples(senders, erc20_steps), max_size=30))
def test_the_network_token_is_an_erc20_with_permit(
    story: list[tuple[Person, tuple[object, ...]]],
) -> None:
    engine = new_engine()
    genesis = (300, PEOPLE[0].address)
    ours = deployed(engine, compiled("NetworkToken"), *genesis, by=DEPLOYER.address)
    theirs = deployed(engine, mock("OracleErc20"), "Tessera", "TSR", "1", by=DEPLOYER.address)
    theirs("mint", PEOPLE[0].address, 300, by=DEPLOYER.address)
    for who in PEOPLE[1:]:
        for token in (ours, theirs):
            token("transfer", who.address, 100, by=PEOPLE[0].address)
    _tell(story, ours, theirs, "Tessera")


@times(2)
@given(story=st.lists(st.tuples(senders, erc20_steps), max_size=30))
def test_the_test_dollar_is_an_erc20_with_permit(
    story: list[tuple[Person, tuple[object, ...]]],
) -> None:
    engine = new_engine()
    ours = deployed(engine, compiled("TestDollar"), 6, 10**6, by=DEPLOYER.address)
    theirs = deployed(engine, mock("OracleErc20"), "Test Dollar", "TUSD", "1", by=DEPLOYER.address)
    for who in PEOPLE:
        ours("faucet", 100, by=who.address)
        theirs("mint", who.address, 100, by=DEPLOYER.address)
    _tell(story, ours, theirs, "Test Dollar")


def _tell(
    story: list[tuple[Person, tuple[object, ...]]], ours: Contract, theirs: Contract, called: str
) -> None:
    """Do the same with both, and find them the same after each step."""
    for sender, (name, *arguments) in story:
        outcomes = []
        for token in (ours, theirs):
            given_ = _permit(token, called, *arguments) if name == "permit" else arguments
            outcome = _outcome(token, name, given_, sender.address)
            outcomes.append((outcome, _names(token, outcome)))
        # Standards leave it open whether a spent allowance is announced; snekmate does.
        assert outcomes[0][0] == outcomes[1][0]
        spent = "Approval" if name == "transferFrom" else ""
        assert outcomes[0][1] == [event for event in outcomes[1][1] if event[0] != spent]
        _same(ours, theirs)


def _permit(
    token: Contract, called: str, owner: Person, spender: Person, value: int, late: int, fault: str
) -> list[object]:
    nonce = token("nonces", owner.address) - (fault == "old nonce")
    deadline = token.engine.now + late
    message = {
        "owner": owner.address,
        "spender": spender.address,
        "value": value,
        "nonce": nonce % 2**256,
        "deadline": deadline,
    }
    v, r, s = sign(owner, domain_of(token, called), "Permit", {"Permit": PERMIT}, message)
    if fault == "high s":
        v, r, s = twin(v, r, s)
    elif fault == "v of 0":
        v -= 27
    elif fault == "another amount":
        value = (value + 1) % 2**256
    signature = (v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    return [owner.address, spender.address, value, deadline, *signature]


def _same(ours: Contract, theirs: Contract) -> None:
    assert ours("totalSupply") == theirs("totalSupply")
    for who in PEOPLE:
        assert ours("balanceOf", who.address) == theirs("balanceOf", who.address)
        assert ours("nonces", who.address) == theirs("nonces", who.address)
        for spender in ADDRESSES:
            pair = (who.address, spender)
            assert ours("allowance", *pair) == theirs("allowance", *pair)


tokens = st.integers(0, 3)
erc721_steps = st.one_of(
    st.tuples(st.just("transferFrom"), addresses, addresses, tokens),
    st.tuples(st.just("safeTransferFrom"), addresses, addresses, tokens),
    st.tuples(st.just("approve"), addresses, tokens),
    st.tuples(st.just("setApprovalForAll"), st.sampled_from(ADDRESSES[:3]), st.booleans()),
)


@times(2)
@given(story=st.lists(st.tuples(senders, erc721_steps), max_size=30))
def test_the_registry_is_an_erc721(
    story: list[tuple[Person, tuple[object, ...]]],
) -> None:
    world = deploy_world()
    ours = world.registry
    theirs = deployed(world.engine, mock("OracleErc721"), by=DEPLOYER.address)
    assets = [world.publish(PEOPLE[number]) for number in range(3)]
    for number in range(3):
        theirs("safe_mint", PEOPLE[number].address, "", by=DEPLOYER.address)
    # The fourth one exists on neither side.
    ids = dict(enumerate([*assets, 5]))
    for sender, (name, *arguments) in story:
        has_id = name != "setApprovalForAll"
        given_ = [*arguments[:-1], ids[arguments[-1]]] if has_id else arguments
        outcome = _outcome(ours, name, given_, sender.address)
        theirs_ = _outcome(theirs, name, arguments, sender.address)
        assert outcome == theirs_, name
        kinds = [[n for n, _ in _names(token, outcome)] for token in (ours, theirs)]
        assert kinds[0] == kinds[1]
        for number, asset in ids.items():
            for view in ("ownerOf", "getApproved"):
                found = _outcome(ours, view, [asset])
                assert found == _outcome(theirs, view, [number])
        for who in PEOPLE:
            assert ours("balanceOf", who.address) == theirs("balanceOf", who.address)
            for other in ADDRESSES:
                pair = (who.address, other)
                assert ours("isApprovedForAll", *pair) == theirs("isApprovedForAll", *pair)

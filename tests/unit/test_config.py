"""One table of settings: precedence, origins, refusals, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessera.config import SETTINGS, Config, Origin, load_config
from tessera.errors import InputError, NotFound


def written(folder: Path, text: str) -> dict[str, str]:
    (folder / "config.toml").write_text(text)
    return {"TESSERA_DATA_DIR": str(folder)}


def test_defaults_need_nothing(tmp_path: Path) -> None:
    config = load_config({}, {"TESSERA_DATA_DIR": str(tmp_path / "none")})
    assert (config.chain_id, config.gateway_port, config.rpc_url) == (31_337, 8402, "")
    assert config.origin("chain_id") is Origin.DEFAULT
    assert config.origin("data_dir") is Origin.ENVIRONMENT


def test_a_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    environment = written(tmp_path, "gateway_port = 1\nnode_port = 2\nchain_id = 3\n")
    environment |= {"TESSERA_GATEWAY_PORT": "10", "TESSERA_NODE_PORT": "20"}
    config = load_config({"gateway_port": 100, "log_level": None}, environment)
    assert (config.gateway_port, config.node_port, config.chain_id) == (100, 20, 3)
    assert [config.origin(name) for name in ("gateway_port", "node_port", "chain_id")] == [
        Origin.FLAG,
        Origin.ENVIRONMENT,
        Origin.FILE,
    ]
    assert config.origin("log_level") is Origin.DEFAULT


def test_every_kind_of_value_is_read_from_text_and_from_toml(tmp_path: Path) -> None:
    in_file = load_config(
        {},
        written(
            tmp_path,
            'allow_python_runners = true\nupstreams = ["http://127.0.0.1:1"]\n'
            "request_timeout_s = 5\n",
        ),
    )
    in_environment = load_config(
        {},
        {
            "TESSERA_DATA_DIR": str(tmp_path / "none"),
            "TESSERA_ALLOW_PYTHON_RUNNERS": "yes",
            "TESSERA_UPSTREAMS": " http://127.0.0.1:1 ,",
            "TESSERA_REQUEST_TIMEOUT_S": "5.0",
        },
    )
    for config in (in_file, in_environment):
        assert config.allow_python_runners is True
        assert config.upstreams == ("http://127.0.0.1:1",)
        assert config.request_timeout_s == 5.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("gateway_port = 99999", "found 99999, wanted 0 to 65535"),
        ('gateway_port = "many"', "found 'many', wanted a whole number"),
        ("gateway_port = true", "wanted a whole number"),
        ("request_timeout_s = nan", "wanted 0.001 to 86400"),
        ("settle_at_risk_units = 0", "wanted 1 or more"),
        ("allow_python_runners = 1", "wanted true or false"),
        ("upstreams = [1]", "wanted a list of texts"),
        ('log_level = "inof"', "did you mean 'info'?"),
        ("gatway_port = 1", "did you mean 'gateway_port'?"),
        ("zone = 1", "more; all of them: tessera config"),
        ('data_dir = "/x"', "cannot be set inside the data folder"),
        ("gateway_port =", "wanted valid TOML"),
    ],
)
def test_a_bad_file_gets_one_clear_line(tmp_path: Path, line: str, complaint: str) -> None:
    environment = written(tmp_path, line)
    with pytest.raises(InputError) as refusal:
        load_config({}, environment)
    assert complaint in str(refusal.value)
    assert str(tmp_path / "config.toml") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="readable UTF-8"):
        load_config({}, {"TESSERA_DATA_DIR": str(tmp_path)})
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(InputError, match="config.toml"):
        load_config({}, {"TESSERA_DATA_DIR": str(tmp_path)})


def test_a_mistyped_variable_is_refused_and_a_tools_variable_is_not(tmp_path: Path) -> None:
    environment = {"TESSERA_DATA_DIR": str(tmp_path), "TESSERA_PYTHON": "python3.12"}
    load_config({}, environment)
    with pytest.raises(NotFound, match="did you mean TESSERA_GATEWAY_PORT"):
        load_config({}, {**environment, "TESSERA_GATEWAY_PROT": "1"})


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="did you mean 'rpc_url'"):
        load_config({"rpc_uri": "x"}, {"TESSERA_DATA_DIR": str(tmp_path)})


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    environment = {"TESSERA_DATA_DIR": str(tmp_path), "TESSERA_UPSTREAM_KEY": "sk-hidden"}
    config = load_config({}, environment)
    assert config.upstream_key == "sk-hidden"
    assert "sk-hidden" not in repr(config)
    assert "sk-hidden" not in str(config.shown())
    with pytest.raises(InputError) as refusal:
        load_config({}, written(tmp_path, 'upstream_key = ["sk-hidden"]'))
    assert "sk-hidden" not in str(refusal.value)
    assert "sk-hidden" not in str(refusal.value.details())


def test_paths_are_absolute_and_the_home_folder_is_expanded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_config({}, {}).data_dir == tmp_path / ".tessera"
    monkeypatch.chdir(tmp_path)
    assert load_config({"data_dir": "here"}, {}).data_dir == tmp_path / "here"
    assert load_config({"data_dir": Path("there")}, {}).data_dir == tmp_path / "there"


def test_every_row_is_complete() -> None:
    for name, setting in SETTINGS.items():
        assert setting.help
        assert not setting.help.endswith(".")
        assert setting.variable == f"TESSERA_{name.upper()}"
    assert {shown.name for shown in Config().shown()} == set(SETTINGS)
    # A number without a unit in its name is a count, a port or an id.
    for name, setting in SETTINGS.items():
        if setting.kind in (int, float):
            assert name.endswith(("_s", "_units", "_port", "_id", "_bps", "_bytes", "_count"))

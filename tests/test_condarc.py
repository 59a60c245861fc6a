"""What conda's and mamba's configuration says, read from real files."""

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest
import uv
from hypothesis import given, settings
from hypothesis import strategies as st

from venvoy.condarc import LARGEST, SYSTEM, CondaConfig, addresses, conda_config, private_addresses, public
from venvoy.errors import InvalidInput

FORGE = "https://conda.anaconda.org/conda-forge"
MAIN = "https://repo.anaconda.com/pkgs/main"
R = "https://repo.anaconda.com/pkgs/r"


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def said(home):
    """Write files below the home, then read: `said({".condarc": "offline: true"}, CONDA_CHANNELS="a")`."""

    def read(files=(), *, prefix=None, system=(), **variables):
        for name, text in dict(files).items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return conda_config({"HOME": str(home), **variables}, prefix=prefix, system=system)

    return read


def values(config):
    return {each.name: getattr(config, each.name) for each in fields(config)}


# --- where it is looked for ------------------------------------------------------------------------------------------


def test_where_nothing_is_configured_it_is_conda_forge_and_strict(said):
    config = said()

    assert values(config) == values(CondaConfig())
    assert (config.channels, config.channel_priority, config.ssl_verify) == (("conda-forge",), "strict", True)
    assert addresses(config, config.channels) == (FORGE,)


def test_the_system_s_files_are_those_of_conda_and_mamba():
    names = (".condarc", "condarc", "condarc.d", ".mambarc")

    assert [str(each) for each in SYSTEM] == [
        f"{at}/{name}" for at in ("/etc/conda", "/var/lib/conda") for name in names
    ]


def test_every_place_is_read_and_the_later_ones_are_stronger(said, home, tmp_path):
    places = [
        "etc/condarc.d/a.yml", "etc/condarc.d/b.yaml", "root/.condarc", "root/.mambarc", "mamba/condarc",
        "xdg/conda/.condarc", ".config/conda/condarc", ".conda/.condarc", ".conda/condarc", ".conda/condarc.d/z.yml",
        ".condarc", ".mambarc", "prefix/.condarc", "prefix/condarc.d/p.yml", "prefix/.mambarc", "rc.yml", "mamba.yml",
    ]  # fmt: skip
    files = {place: f"channels: [c{number}]\n" for number, place in enumerate(places)}

    config = said(
        files,
        prefix=home / "prefix",
        system=(home / "etc/condarc.d",),
        CONDA_ROOT=str(home / "root"),
        MAMBA_ROOT_PREFIX=str(home / "mamba"),
        XDG_CONFIG_HOME=str(home / "xdg"),
        CONDARC="~/rc.yml",
        MAMBARC=str(home / "mamba.yml"),
        CONDA_CHANNELS="variable, c0",
    )

    expected = ["variable", "c0", *(f"c{number}" for number in reversed(range(1, len(places))))]
    assert list(config.channels) == expected


def test_the_root_is_told_from_conda_s_own_program(said, home):
    files = {"miniforge3/.condarc": "channels: [institute]\n"}

    assert said(files, CONDA_EXE=str(home / "miniforge3/bin/conda")).channels == ("institute",)
    assert said(files, CONDA_EXE=str(home / "miniforge3/condabin/conda")).channels == ("institute",)
    assert said(files).channels == ("conda-forge",)


def test_another_environment_that_is_active_has_no_say(said, home):
    files = {"other/.condarc": "channels: [other]\n"}

    assert said(files, CONDA_PREFIX=str(home / "other")).channels == ("conda-forge",)


def test_files_of_other_names_are_none_as_with_conda(said, home):
    files = {".conda/condarc.d/notes.txt": "channels: [a]", "mine": "channels: [b]", ".conda/condarc.d/sub/a.yml": "%"}

    assert said(files, CONDARC=str(home / "mine")).channels == ("conda-forge",)


def test_a_file_that_is_reached_twice_counts_once(said, home):
    files = {".condarc": "channels: [a]\n", ".config/conda/condarc": "channels: [b]\n"}

    assert said(files, CONDARC=str(home / ".condarc"), XDG_CONFIG_HOME=str(home / ".config")).channels == ("a", "b")


# --- merging ---------------------------------------------------------------------------------------------------------


def low_and_high(said, low, high):
    return said({".conda/condarc": low, ".condarc": high})


def test_lists_of_stronger_files_come_first_and_nothing_comes_twice(said):
    config = low_and_high(said, "channels: [a, b, c]\n", "channels: [c, d]\n")

    assert config.channels == ("c", "d", "a", "b")


def test_lines_at_the_top_and_at_the_bottom_stay_there(said):
    low = "channels:\n  - a  #!bottom\n  - b\n  - c  #!top\n"
    high = "channels:\n  - d  #!bottom\n  - e\n  - f  # !top\n"

    assert low_and_high(said, low, high).channels == ("c", "f", "e", "b", "d", "a")


def test_what_is_final_cannot_be_overridden(said):
    low = "channels: #!final\n  - a\nchannel_alias: https://a.org  #!final\ncustom_channels:\n  x: https://x.org  #!final\n"
    high = "channels: [b]\nchannel_alias: https://b.org\ncustom_channels:\n  x: https://y.org\n  z: https://z.org\n"

    config = low_and_high(said, low, high)

    assert (config.channels, config.channel_alias) == (("a",), "https://a.org")
    assert config.custom_channels == {"x": "https://x.org", "z": "https://z.org"}


def test_a_marker_counts_although_comments_follow_it(said):
    low = "offline: true  #!final\n# we are\n\n# on an island\nchannels: [a]\n"

    assert low_and_high(said, low, "offline: false\n").offline is True


def test_maps_are_merged_by_key_and_the_lists_in_them_too(said):
    low = "proxy_servers: {http: 'http://a:1', https: 'http://a:2'}\ncustom_multichannels: {many: [a, b]}\n"
    high = "proxy_servers: {http: 'http://b:1'}\ncustom_multichannels: {many: [b, c], few: [d]}\n"

    config = low_and_high(said, low, high)

    assert config.proxies == {"http": "http://b:1", "https": "http://a:2"}
    assert config.custom_multichannels == {"many": ("b", "c", "a"), "few": ("d",)}


def test_null_and_the_empty_string_say_nothing(said):
    low = "channels: [a]\nproxy_servers: {http: 'http://a:1'}\nssl_verify: false\nchannel_alias: https://a.org\n"
    high = "channels: ~\nproxy_servers: {http: ~}\nssl_verify: ~\nchannel_alias:\nchannel_priority: ~\n"

    config = low_and_high(said, low, high)

    assert (config.channels, config.proxies) == (("a",), {"http": "http://a:1"})
    assert (config.ssl_verify, config.channel_alias) == (False, "https://a.org")
    assert said({".condarc": "", ".conda/condarc": "# nothing\n"}, CONDA_CHANNELS="").channels == ("conda-forge",)


# --- keys and variables ----------------------------------------------------------------------------------------------


def test_every_key_is_read(said, home, tmp_path):
    (tmp_path / "ca.pem").touch()
    (home / "taken").touch()
    config = said(
        {
            ".condarc": f"""
channels: [lab, defaults]
channel_alias: https://mirror.org/conda/
default_channels: [https://mirror.org/main/]
custom_channels: {{lab: https://lab.org/channels/}}
custom_multichannels: {{both: [lab, conda-forge]}}
channel_priority: flexible
offline: yes
ssl_verify: {tmp_path}/ca.pem
proxy_servers: {{https: 'http://proxy:3128'}}
pinned_packages: [numpy 1.*, python=3.11]
envs_dirs: 7
"""
        }
    )

    assert values(config) == values(
        CondaConfig(
            channels=("lab", "defaults"),
            channel_alias="https://mirror.org/conda",
            default_channels=("https://mirror.org/main/",),
            custom_channels={"lab": "https://lab.org/channels"},
            custom_multichannels={"both": ("lab", "conda-forge")},
            channel_priority="flexible",
            offline=True,
            ssl_verify=str(tmp_path / "ca.pem"),
            proxies={"https": "http://proxy:3128"},
            pinned=("numpy 1.*", "python=3.11"),
        )
    )


def test_variables_stand_above_the_files(said, home):
    config = said(
        {".condarc": "channel_alias: https://a.org\noffline: true\nchannel_priority: strict\nchannels: [a]\n"},
        CONDA_CHANNEL_ALIAS="https://b.org",
        CONDA_OFFLINE="false",
        CONDA_CHANNEL_PRIORITY="disabled",
        CONDA_CHANNELS="b,c",
        CONDA_SSL_VERIFY="truststore",
        CONDA_PKGS_DIRS=str(home / "pkgs"),
        CONDA_DEFAULT_CHANNELS="https://main.org",
        CONDA_PINNED_PACKAGES="numpy>=1,<2&scipy",
        CONDA_PROXY_SERVERS="http://not/from/variables",
    )

    assert (config.channel_alias, config.offline, config.channel_priority) == ("https://b.org", False, "disabled")
    assert (config.channels, config.ssl_verify) == (("b", "c", "a"), "truststore")
    assert config.default_channels == ("https://main.org",)
    assert (config.pinned, config.proxies) == (("numpy>=1,<2", "scipy"), {})


def test_mamba_s_variables_stand_above_conda_s_where_mamba_has_them(said):
    config = said(
        CONDA_CHANNEL_ALIAS="https://conda.org",
        MAMBA_CHANNEL_ALIAS="https://mamba.org",
        MAMBA_OFFLINE="1",
        MAMBA_SSL_VERIFY="<false>",
        MAMBA_CHANNELS="never",
    )

    assert (config.channel_alias, config.offline, config.ssl_verify) == ("https://mamba.org", True, False)
    assert config.channels == ("conda-forge",)


def test_variables_in_values_are_replaced_where_they_exist(said):
    text = (
        "channel_alias: https://${USER_AT}@a.org\nchannels: [$LAB/x, $NOBODY/y, '${NOBODY}']\n"
        "custom_channels: {lab: 'https://$HOST/c'}\npinned_packages: ['a=1=h*$']\n"
    )

    config = said({".condarc": text}, USER_AT="me:secret", LAB="lab", HOST="lab.org")

    assert config.channel_alias == "https://me:secret@a.org"
    assert config.channels == ("lab/x", "$NOBODY/y", "${NOBODY}")
    assert (config.custom_channels, config.pinned) == ({"lab": "https://lab.org/c"}, ("a=1=h*$",))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", "flexible"),
        ("no", "disabled"),
        ("Strict", "strict"),
        ("flexible", "flexible"),
        ("disabled", "disabled"),
    ],
)
def test_the_priority_is_understood_as_conda_ever_wrote_it(said, written, meant):
    assert said({".condarc": f"channel_priority: {written}\n"}).channel_priority == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("on", True), ("False", False), ("0", False), ('"no"', False), ("truststore", "truststore"),
     ("<system>", "truststore"), ("<false>", False), ("~/certificates", "HOME/certificates")],
)  # fmt: skip
def test_certificates_are_checked_as_it_says(said, home, written, meant):
    (home / "certificates").mkdir()
    expected = meant.replace("HOME", str(home)) if isinstance(meant, str) else meant

    assert said({".condarc": f"ssl_verify: {written}\n"}).ssl_verify == expected


def test_what_a_prefix_has_pinned_is_read_behind_what_is_configured(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / ".condarc").write_text("pinned_packages: [scipy]\n")
    pinned = tmp_path / "conda-meta/pinned"
    pinned.write_bytes(b"\xef\xbb\xbfnumpy 1.*  # why\r\n\r\n# nothing\npython=3.11\n")

    assert conda_config({}, prefix=tmp_path, system=()).pinned == ("scipy", "numpy 1.*", "python=3.11")

    pinned.write_bytes(b"\xe9")
    with pytest.raises(InvalidInput, match=f"cannot read {pinned}"):
        conda_config({}, prefix=tmp_path, system=())


def test_older_names_of_keys_are_read_and_the_newer_is_stronger(said):
    config = said({".condarc": "verify_ssl: false\nchannel: [a]\nchannels: [b]\n"})

    assert (config.ssl_verify, config.channels) == (False, ("b",))


def test_mirrors_stand_under_the_true_address_of_their_channel(said):
    text = (
        "channel_alias: https://me:secret@alias.org\ncustom_channels: {lab: https://lab.org}\n"
        "mirrored_channels:\n"
        "  conda-forge: [https://conda.anaconda.org/conda-forge/, https://prefix.dev/conda-forge]\n"
        "  lab: [https://me:secret@mirror.org/lab]\n"
        "  https://x.org/y/: [oci://ghcr.io/channel-mirrors/y]\n"
    )

    assert said({".condarc": text}).mirrors == {
        "https://alias.org/conda-forge": (FORGE, "https://prefix.dev/conda-forge"),
        "https://lab.org/lab": ("https://me:secret@mirror.org/lab",),
        "https://x.org/y": ("oci://ghcr.io/channel-mirrors/y",),
    }


# --- what cannot be understood ---------------------------------------------------------------------------------------

SECRET = "hunter2"  # noqa: S105  # nobody's
WRONG = {
    "channels: conda-forge": "channels must be a list of strings",
    "channels: [1]": "channels must be a list of strings",
    "channels: [[a]]": "channels must be a list of strings",
    "channels: &a [*a]": "channels must be a list of strings",
    "channels: {a: b}": "channels must be a list of strings",
    f"custom_channels: [https://u:{SECRET}@h]": "custom_channels must be a mapping",
    "custom_channels: {a: [b]}": "custom_channels must be a mapping of names to strings",
    "custom_channels: {1: b}": "custom_channels must be a mapping",
    f"custom_channels: {{a: 'u:{SECRET}@h'}}": "custom_channels must give addresses",
    f"channel_alias: u:{SECRET}@host": "channel_alias must give addresses",
    "channel_alias: [a]": "channel_alias must be one word",
    f"channel_priority: {SECRET}": "channel_priority must be strict, flexible or disabled",
    f"offline: {SECRET}": "offline must be true or false",
    "offline: 1.5": "offline must be one word",
    f"ssl_verify: /nowhere/{SECRET}": "ssl_verify must be true, false, truststore or a file of certificates",
    "ssl_verify: !!python/object:os.system {}": "ssl_verify must be one word",
    f"proxy_servers: http://u:{SECRET}@h": "proxy_servers must be a mapping",
    "proxy_servers: {http: 8080}": "proxy_servers must be a mapping of names to strings",
    "custom_multichannels: {a: b}": "custom_multichannels must be a list of strings",
    "mirrored_channels: {a: {b: c}}": "mirrored_channels must be a list of strings",
    "mirrored_channels: {defaults: [a]}": "mirrored_channels must name single channels",
    "pinned_packages: numpy": "pinned_packages must be a list of strings",
    "[a]": "must be a mapping",
    "just words": "must be a mapping",
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_names_the_file_and_the_key_and_no_value(said, home, text):
    with pytest.raises(InvalidInput) as raised:
        said({".condarc": text})

    assert str(home / ".condarc") in raised.value.message
    assert WRONG[text] in raised.value.message
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"a: b\nchannels: [https://u:{SECRET}@h\n", 3),
        (f"proxy: 'http://u:{SECRET}@h'\nproxy: 'http://u:{SECRET}2@h'\n", 2),
        (f"a: *{SECRET}\n", 1),
        (f"--- {{}}\n--- {SECRET}\n", 2),
        ("a: \x01\n", None),
        ("a: 1e999_9:9\nb: 2020-99-99\n", None),
        ("[" * 1200, None),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line_and_not_quoted(said, home, text, line):
    with pytest.raises(InvalidInput) as raised:
        said({".condarc": text})

    at = f", line {line}" if line else ""
    assert raised.value.message.startswith(f"{home / '.condarc'}{at}: not YAML" if line else str(home / ".condarc"))
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_files_that_cannot_be_read_say_so(said, home):
    (home / ".condarc").write_bytes(b"channels: [\xff]")
    with pytest.raises(InvalidInput, match="not YAML"):
        said()

    with pytest.raises(InvalidInput, match="that is no configuration"):
        said({".condarc": "#" * (LARGEST + 1)})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [("CONDA_OFFLINE", SECRET, "CONDA_OFFLINE: offline must be true or false"),
     ("CONDA_CHANNEL_ALIAS", SECRET, "CONDA_CHANNEL_ALIAS: channel_alias must give addresses"),
     ("MAMBA_SSL_VERIFY", SECRET, "MAMBA_SSL_VERIFY: ssl_verify must be"),
     ("CONDA_CHANNEL_PRIORITY", SECRET, "CONDA_CHANNEL_PRIORITY: channel_priority must be")],
)  # fmt: skip
def test_a_wrong_variable_is_named(said, variable, value, told):
    with pytest.raises(InvalidInput) as raised:
        said(**{variable: value})

    assert raised.value.message.startswith(told)
    assert SECRET not in str(raised.value)


KEYS = ("channels", "channel_alias", "custom_channels", "custom_multichannels", "mirrored_channels", "offline",
        "ssl_verify", "proxy_servers", "channel_priority", "default_channels")  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4))
def test_any_values_are_read_or_refused(tmp_path_factory, loaded):
    file = tmp_path_factory.mktemp("any") / ".condarc"
    file.write_text(json.dumps(loaded), "utf-8")

    with suppress(InvalidInput):
        config = conda_config({"HOME": str(file.parent)}, system=())
        addresses(config, config.channels)
        private_addresses(config)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:- #!\n\t[]{}&*|>'\"%@?,<~$/.", max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("any") / ".condarc"
    file.write_text(f"channels:{text}", "utf-8")

    with suppress(InvalidInput):
        conda_config({"HOME": str(file.parent)}, system=())


# --- addresses -------------------------------------------------------------------------------------------------------

LAB = CondaConfig(
    custom_channels={"lab": "https://lab.org/channels/", "lab/sub": "file:///srv"},
    custom_multichannels={"both": ("conda-forge", "lab", "https://own.org/x/")},
)


@pytest.mark.parametrize(
    ("channel", "meant"),
    [
        ("conda-forge", (FORGE,)),
        ("conda-forge/label/dev", (f"{FORGE}/label/dev",)),
        ("conda-forge/linux-64", (FORGE,)),
        ("conda-forge/noarch/", (FORGE,)),
        ("conda-forge[linux-64]", (FORGE,)),
        ("conda-forge[linux-64, noarch]", (FORGE,)),
        ("conda-forge/[subdir=osx-arm64]", (FORGE,)),
        (" conda-forge ", (FORGE,)),
        ("user/linux-tools", ("https://conda.anaconda.org/user/linux-tools",)),
        ("noarch", ("https://conda.anaconda.org/noarch",)),
        ("defaults", (MAIN, R)),
        ("defaults/linux-64", (MAIN, R)),
        ("pkgs/main", (MAIN,)),
        ("nodefaults", ()),
        ("lab", ("https://lab.org/channels/lab",)),
        ("lab/label/dev", ("https://lab.org/channels/lab/label/dev",)),
        ("lab/sub", ("file:///srv/lab/sub",)),
        ("labs", ("https://conda.anaconda.org/labs",)),
        ("both", (FORGE, "https://lab.org/channels/lab", "https://own.org/x")),
        ("https://own.org/x///", ("https://own.org/x",)),
        ("https://own.org/x/linux-aarch64", ("https://own.org/x",)),
        ("https://own.org/x/noarch/", ("https://own.org/x",)),
        ("https://own.org/x[noarch]", ("https://own.org/x",)),
        ("http://[::1]:8000/x", ("http://[::1]:8000/x",)),
        ("http://[::1]:8000", ("http://[::1]:8000",)),
        ("https://u:p@own.org/x/", ("https://u:p@own.org/x",)),
        ("file:///srv/x/", ("file:///srv/x",)),
        ("oci://ghcr.io/x", ("oci://ghcr.io/x",)),
        ("/srv/my channel/noarch", ("file:///srv/my%20channel",)),
        ("/srv/a/../b", ("file:///srv/b",)),
        ("./built", (Path.cwd().joinpath("built").as_uri(),)),
        ("..", (Path.cwd().parent.as_uri(),)),
    ],
)
def test_a_channel_stands_for_addresses(channel, meant):
    assert addresses(LAB, (channel,)) == meant


def test_channels_come_in_order_and_once():
    asked = (
        "both",
        "conda-forge",
        f"{FORGE}/",
        "https://me:secret@conda.anaconda.org/conda-forge/noarch",
        "nodefaults",
        "a",
    )

    assert addresses(LAB, asked) == (
        FORGE,
        "https://lab.org/channels/lab",
        "https://own.org/x",
        "https://conda.anaconda.org/a",
    )


def test_what_was_configured_as_defaults_is_also_known_by_its_name():
    mirrored = CondaConfig(default_channels=("https://u:p@mirror.org/pkgs/main", "file:///srv/r", "intern"))

    assert addresses(mirrored, ("pkgs/main", "pkgs/r", "srv/r")) == (
        "https://u:p@mirror.org/pkgs/main",
        "https://conda.anaconda.org/pkgs/r",
        "https://conda.anaconda.org/srv/r",
    )
    assert addresses(mirrored, ("defaults",))[2] == "https://conda.anaconda.org/intern"


@pytest.mark.parametrize("channel", ["", "  ", "/", "~/built", "local", "a b", "a\x00b", "linux-64/ x"])
def test_what_is_no_channel_is_refused(channel):
    with pytest.raises(InvalidInput, match="is no channel"):
        addresses(CondaConfig(), (channel,))


@pytest.mark.parametrize(
    "channel", ["https://u:hunter2/x@h/c", "https://[hunter2/c", "https://u:hunter2 x@h/c", "u:hunter2 x@h"]
)
def test_an_address_that_cannot_be_read_is_refused_without_showing_it(channel):
    with pytest.raises(InvalidInput) as raised:
        addresses(CondaConfig(), (channel,))

    assert SECRET not in str(raised.value)


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("private", "shown"),
    [
        ("https://user:pass@host.org/c", "https://host.org/c"),
        ("https://user@host.org:8080/c/", "https://host.org:8080/c"),
        ("https://a@b:p@ss@host.org/c", "https://host.org/c"),
        ("https://host.org/t/tk-123-456/c", "https://host.org/c"),
        ("https://host.org/conda/t/tk_1.2/c/linux-64/a-1-0.conda", "https://host.org/conda/c/linux-64/a-1-0.conda"),
        ("https://u:p@host.org/t/tk", "https://host.org"),
        ("https://host.org/t//c", "https://host.org/c"),
        ("file:///t/data/c", "file:///t/data/c"),
        ("https://host.org/me@work/c", "https://host.org/me@work/c"),
        (FORGE, FORGE),
    ],
)
def test_the_public_address_has_no_credentials(private, shown):
    assert public(private) == shown


def test_whoever_fetches_gets_the_credentials_by_the_public_address(said):
    config = said(
        {
            ".condarc": """
channel_alias: https://conda.org/t/tk-1
channels: [forge, lab, https://u:p@own.org/x, https://open.org/y]
default_channels: [https://u:p@main.org/main]
custom_channels: {lab: 'https://u:p@lab.org'}
custom_multichannels: {many: ['https://u:p@many.org/z', plain]}
mirrored_channels: {forge: ['https://u:p@mirror.org/forge', https://open.org/forge]}
"""
        }
    )

    assert private_addresses(config) == {
        "https://conda.org": "https://conda.org/t/tk-1",
        "https://conda.org/forge": "https://conda.org/t/tk-1/forge",
        "https://conda.org/plain": "https://conda.org/t/tk-1/plain",
        "https://lab.org/lab": "https://u:p@lab.org/lab",
        "https://own.org/x": "https://u:p@own.org/x",
        "https://main.org/main": "https://u:p@main.org/main",
        "https://many.org/z": "https://u:p@many.org/z",
        "https://mirror.org/forge": "https://u:p@mirror.org/forge",
    }
    assert private_addresses(CondaConfig()) == {}


def test_a_configuration_that_is_printed_shows_no_credentials():
    assert SECRET not in repr(
        CondaConfig(channels=(f"https://u:{SECRET}@h/c",), proxies={"http": f"http://u:{SECRET}@h"})
    )


# --- against conda's own code ----------------------------------------------------------------------------------------

CONDA = """
import json, sys
from conda_lock._vendor.conda.base.context import context, reset_context
from conda_lock._vendor.conda.models.channel import Channel
reset_context()
print(json.dumps({
    "channels": context.channels, "default_channels": context._default_channels,
    "custom_multichannels": dict(context._custom_multichannels), "channel_priority": str(context.channel_priority),
    "offline": context.offline, "ssl_verify": context.ssl_verify, "proxies": dict(context.proxy_servers),
    "pinned": context.pinned_packages, "addresses": {each: Channel(each).base_urls for each in sys.argv[1:]},
}))
"""
FILES = {
    "root/.condarc": "channels:\n  - r  #!bottom\n  - s\nproxy_servers:\n  http: http://p:1  #!final\n  https: http://p:2\n",
    ".config/conda/condarc.d/b.yml": "channels: [b, s]\nchannel_priority: true\ndefault_channels: [https://m.org/pkgs/main]\n",
    ".config/conda/condarc.d/a.yaml": "channels:\n  - a  #!top\n  - c\nssl_verify: no  #!final\n",
    ".conda/condarc": "custom_multichannels:\n  many:\n    - x  #!bottom\n    - https://x.org/y\noffline: on\n",
    ".condarc": "custom_multichannels: {many: [z, x]}\nproxy_servers: {http: 'http://q:1'}\nssl_verify: true\n"
    "custom_channels: {lab: 'https://$HOST', lab/sub: https://sub.org/}\nchannels: [$HOST/c, a]\n",
    "prefix/.condarc": "pinned_packages: [n 1.*]\nchannels: #!final\n  - p  #!top\n  - r\n",
    "rc.yml": "channels: [never]\ndefault_channels: [intern]\n",
}
ASKED = (
    "defaults", "conda-forge", "conda-forge/label/dev", "lab", "lab/sub/deep", "lab/more/linux-64", "many", "pkgs/main",
    "https://h.org/x/noarch/", "https://u:p@h.org/t/tk/x", "/srv/channel",
)  # fmt: skip


@pytest.mark.network
def test_conda_s_own_code_understands_the_same(said, home):
    own = {
        "CONDA_ROOT": str(home / "root"), "CONDARC": str(home / "rc.yml"), "HOST": "h.org", "CONDA_PINNED_PACKAGES": "a=1&b",
    }  # fmt: skip
    (home / "prefix/conda-meta").mkdir(parents=True)
    (home / "prefix/conda-meta/history").touch()
    ours = said(FILES, prefix=home / "prefix", **own)
    argv = [uv.find_uv_bin(), "tool", "run", "--quiet", "--from", "conda-lock>=4", "python", "-c", CONDA, *ASKED]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONDA", "MAMBA", "XDG_"))}
    cache = subprocess.run(
        [uv.find_uv_bin(), "cache", "dir"], check=True, capture_output=True, text=True
    ).stdout.strip()
    theirs = {"HOME": str(home), "CONDA_PREFIX": str(home / "prefix"), "UV_CACHE_DIR": cache, "UV_SYSTEM_CERTS": "1"}

    ran = subprocess.run(argv, check=False, capture_output=True, text=True, env={**kept, **own, **theirs})

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    found = {name: [public(each) for each in addresses(ours, (name,))] for name in ASKED}
    assert {name: [each.rstrip("/") for each in urls] for name, urls in told.pop("addresses").items()} == found
    assert told == {name: json.loads(json.dumps(getattr(ours, name))) for name in told}

"""What was asked for, told from real command lines; and nothing secret of them is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.actions.asked import asked_in, without_secrets

Told = tuple[tuple[str, str, tuple[str, ...]], ...]


def told(command: str) -> Told:
    return tuple((asked.tool, asked.verb, asked.names) for asked in asked_in([command]))


def one(tool: str, *names: str, verb: str = "install") -> Told:
    return ((tool, verb, names),)


LINES = {
    # magics and shell escapes
    "%pip install numpy": one("pip", "numpy"),
    "%pip install -q 'numpy>=1.2' pandas[all]==2 -r x.txt": one("pip", "numpy", "pandas"),
    "!pip install --upgrade Zope.Interface": one("pip", "zope-interface"),
    "!{sys.executable} -m pip install numpy": one("pip", "numpy"),
    "out = !pip install numpy": one("pip", "numpy"),
    "!!pip install numpy": one("pip", "numpy"),
    "%sx pip install numpy": one("pip", "numpy"),
    "%uv pip install numpy scipy": one("uv pip", "numpy", "scipy"),
    "%uv add 'httpx[http2]>0.2'": one("uv", "httpx"),
    "%conda install -c conda-forge --yes numpy=1.26": one("conda", "numpy"),
    # as a shell sees them
    "/env/bin/python -m pip install numpy": one("pip", "numpy"),
    "/env/bin/python3.12 -I -m pip --quiet install numpy": one("pip", "numpy"),
    "/env/bin/pip3.12 install numpy": one("pip", "numpy"),
    "python -m uv pip install six": one("uv pip", "six"),
    "uv --quiet pip install --index-url https://u:p@h/simple x": one("uv pip", "x"),
    "uv pip install --python=/env/bin/python x": one("uv pip", "x"),
    "sudo -H pip install x": one("pip", "x"),
    "PIP_INDEX_URL=https://user:pw@h/simple pip install x": one("pip", "x"),
    "env A=1 B='2 3' pip install x": one("pip", "x"),
    "time pip install x": one("pip", "x"),
    "yes | pip uninstall a": one("pip", "a", verb="remove"),
    "pip uninstall -y a b": one("pip", "a", "b", verb="remove"),
    "uv remove a": one("uv", "a", verb="remove"),
    "mamba remove numpy": one("mamba", "numpy", verb="remove"),
    "micromamba install -y 'conda-forge::numpy>=1.2' scipy=1.14=py312_0": one("micromamba", "numpy", "scipy"),
    "conda update numpy": one("conda", "numpy"),
    # several lines and several commands
    "pip install \\\n  numpy \\\n  'scipy>1'": one("pip", "numpy", "scipy"),
    "pip install numpy && pip install scipy": one("pip", "numpy") + one("pip", "scipy"),
    "pip uninstall -y a; uv pip install b || echo no": one("pip", "a", verb="remove") + one("uv pip", "b"),
    "cd /tmp && pip install numpy": one("pip", "numpy"),
    "(pip install numpy)": one("pip", "numpy"),
    "pip install numpy > log.txt 2>&1": one("pip", "numpy"),
    "pip install numpy 2>/dev/null scipy": one("pip", "numpy", "scipy"),
    "pip install numpy | tail -1": one("pip", "numpy"),
    "pip install numpy>=1.2": one("pip", "numpy"),
    "pip install numpy  # for the arrays": one("pip", "numpy"),
    "pip install numpy\npip install scipy": one("pip", "numpy") + one("pip", "scipy"),
    # Python
    'subprocess.run([sys.executable, "-m", "pip", "install", "numpy>=1"], check=True, env={"A": "b"})': one(
        "pip", "numpy"
    ),
    "subprocess.check_call(['uv', 'pip', 'install', '-q', 'a', 'b'])": one("uv pip", "a", "b"),
    "run(['pip', 'install', 'pandas[excel]', \"numpy>1\"])": one("pip", "numpy", "pandas"),
    "check_call(['pip', 'install', 'a']); check_call(['pip', 'install', 'b'])": one("pip", "a") + one("pip", "b"),
    'os.system("pip install numpy")': one("pip", "numpy"),
    "subprocess.run('pip install numpy', shell=True, cwd='home')": one("pip", "numpy"),
    "get_ipython().system('pip install numpy')": one("pip", "numpy"),
    "get_ipython().run_line_magic('pip', 'install numpy scipy')": one("pip", "numpy", "scipy"),
    'cmd = [sys.executable, "-m", "pip", "uninstall", "-y", "numpy"]': one("pip", "numpy", verb="remove"),
    # what has a name, and what has none
    "pip install .": one("pip"),
    "pip install -e .": one("pip"),
    "pip install -e . numpy": one("pip", "numpy"),
    "pip install .[dev] ./local /abs/path": one("pip"),
    "pip install -r requirements.txt -c constraints.txt": one("pip"),
    "pip install https://h/numpy-2.0-cp312-cp312-linux_x86_64.whl?x=1": one("pip", "numpy"),
    "pip install ./dist/My_Package-1.0-py3-none-any.whl": one("pip", "my-package"),
    "pip install git+https://h/p@main": one("pip"),
    "pip install 'git+https://h/p@main#egg=My_P&subdirectory=a'": one("pip", "my-p"),
    "pip install 'name @ https://h/x.tar.gz'": one("pip", "name"),
    "pip install 'numpy; python_version > \"3.8\"'": one("pip", "numpy"),
    "pip install $PACKAGE {package}": one("pip"),
    "pip install --index-url=https://h/simple --extra-index-url https://h2/simple --pre -U numpy": one("pip", "numpy"),
    "pip install numpy numpy NumPy": one("pip", "numpy"),
    "pip install it's broken": one("pip", "broken"),
    # not into this environment, or not at all
    "pip install --target /elsewhere numpy": (),
    "pip install --target=/elsewhere numpy": (),
    "pip install -t lib numpy": (),
    "pip install --dry-run numpy": (),
    "conda install -n other numpy": (),
    "uv tool install ruff": (),
    "pipx install ruff": (),
    "pip list": (),
    "pip show install": (),
    "pip download install": (),
    "conda create -n x install": (),
    "# pip install numpy": (),
    "echo pip install numpy": (),
    'print("pip install numpy")': (),
    "install = remove(pip)": (),
    "import pip; pip.install": (),
    "apt-get install pip": (),
    "uv": (),
    "uv pip": (),
    "python -m": (),
    "": (),
}


@pytest.mark.parametrize("line", LINES)
def test_what_was_asked_for_is_told(line):
    assert told(line) == LINES[line]


def test_the_command_itself_is_kept_but_not_at_any_length():
    (asked,) = asked_in(["  pip install " + "numpy " * 500])

    assert asked.command.startswith("pip install numpy")
    assert len(asked.command) == 500


def test_every_command_of_a_cell_is_read():
    assert [asked.names for asked in asked_in(["pip install a", "ls", "pip install b"])] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("pip install -i https://ada:hunter2@h.org/simple x", "pip install -i https://***@h.org/simple x"),
        ("pip install -i https://hunter2@h.org/simple x", "pip install -i https://***@h.org/simple x"),
        ("pip install -i https://ada:hun@ter2@h.org/simple x", "pip install -i https://***@h.org/simple x"),
        ("pip install -i https://ada:hun/ter2@h.org/simple x", "pip install -i https://***@h.org/simple x"),
        ("pip install -i https://ada:hun:ter2@h.org:8443/simple x", "pip install -i https://***@h.org:8443/simple x"),
        ("pip install git+https://hunter2@github.com/o/p@main", "pip install git+https://***@github.com/o/p@main"),
        ("pip install 'https://h/x.whl?token=hunter2&v=1'", "pip install 'https://h/x.whl?token=***&v=1'"),
        ("pip install 'https://h/x.whl?v=1&X-Amz-Signature=hunter2'", "pip install 'https://h/x.whl?v=1&X-Amz-Signature=***'"),
        ("uv pip install --password hunter2 x", "uv pip install --password *** x"),
        ("uv pip install --password='hunter2 x' y", "uv pip install --password=*** y"),
        ('install_git("h", credentials = git2r::cred_user_pass("me", "hunter2"))', None),
        ("uv pip install --token=hunter2 x", "uv pip install --token=*** x"),
        ("PIP_INDEX_URL=https://ada:hunter2@h/simple pip install x", "PIP_INDEX_URL=https://***@h/simple pip install x"),
        ("UV_INDEX_PRIVATE_PASSWORD=hunter2 uv pip install x", "UV_INDEX_PRIVATE_PASSWORD=*** uv pip install x"),
        ("export API_KEY='hunter2'; pip install x", "export API_KEY=***; pip install x"),
        ('run(["pip", "install", "x"], env={"MY_TOKEN": "hunter2"})', 'run(["pip", "install", "x"], env={"MY_TOKEN": ***})'),
        ("curl -u ada:hunter2 https://h/x && pip install x", "curl -u *** https://h/x && pip install x"),
        ("curl -H 'Authorization: Bearer hunter2.x' h && pip install x", None),
        ("pip install git+https://h/p@ghp_hunter2", None),
        ("curl --user ada:hunter2 h && pip install --user x", "curl --user *** h && pip install --user x"),
        ("pip install --proxy http://ada:hunter2@proxy:3128 x", "pip install --proxy http://***@proxy:3128 x"),
    ],
)  # fmt: skip
def test_no_secret_survives(command, kept):
    safe = without_secrets(command)

    assert "hunter2" not in safe
    assert "ter2" not in safe
    assert kept in (None, safe)
    assert all("hunter2" not in asked.command for asked in asked_in([command]))


@pytest.mark.parametrize(
    "command",
    [
        "pip install -i https://h.org:8443/simple x",
        "pip install git+https://h.org/p@main",
        "pip install git+https://h.org:8443/p@main",
        "pip install keyring tokenizers python-jose-secrets authlib==1.3",
        "pip install 'passlib>=1.7' pytoken",
        "pip install --user numpy",
        "conda install -c conda-forge numpy=1.26",
    ],
)
def test_what_is_no_secret_stays(command):
    assert without_secrets(command) == command


@given(st.text(max_size=60), st.sampled_from(["", "pip install ", "!uv pip install ", "run(['pip', 'install', "]))
def test_any_line_is_read_without_error(tail, head):
    for asked in asked_in([head + tail]):
        assert asked.verb in ("install", "remove")

"""What kind of thing a file of a repository is, by its path alone.

A path is what its author chose, so the kinds say what a commit claims to be about. What lies in the
files is looked at in `history.read_changes`.
"""

from __future__ import annotations

import enum
import functools
from typing import Final

__all__ = ["Kind", "kind_of"]


class Kind(enum.IntFlag):
    """One kind per path; a commit has those of all its paths."""

    NONE = 0
    SOURCE = 1
    """Code that people write."""
    DOCUMENTS = 2
    """Prose, images, licences."""
    INFRASTRUCTURE = 4
    """How it is built, tested and configured."""
    DATA = 8
    """Tables, weights, archives, notebooks: what a program writes."""
    GENERATED = 16
    """Others' code, locks, and what a program made out of source."""
    OTHER = 32
    """Of none of these names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOCUMENT_FOLDERS: Final = frozenset({"doc", "docs", "documentation", "wiki"})
_GENERATED_FOLDERS: Final = frozenset({
    "__generated__", "_vendor", "bower_components", "build", "dist", "generated", "gen",
    "node_modules", "site-packages", "third-party", "third_party", "thirdparty", "vendor",
    "vendored",
})  # fmt: skip
_INFRASTRUCTURE_FOLDERS: Final = frozenset({
    ".buildkite", ".ci", ".circleci", ".devcontainer", ".github", ".gitlab", ".husky", ".vscode",
    ".idea",
})  # fmt: skip
_DATA_FOLDERS: Final = frozenset({"data", "datasets", "dataset"})

_LOCKS: Final = frozenset({
    "bun.lockb", "cargo.lock", "composer.lock", "flake.lock", "gemfile.lock", "go.sum",
    "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json", "pdm.lock", "pipfile.lock",
    "pnpm-lock.yaml", "podfile.lock", "poetry.lock", "pubspec.lock", "uv.lock", "yarn.lock",
})  # fmt: skip
_DOCUMENT_NAMES: Final = frozenset({
    "authors", "changelog", "changes", "code_of_conduct", "codeowners", "contributing",
    "contributors", "copying", "history", "license", "licence", "maintainers", "news", "notice",
    "readme", "security", "todo",
})  # fmt: skip
_INFRASTRUCTURE_NAMES: Final = frozenset({
    "brewfile", "build", "cmakelists.txt", "containerfile", "dockerfile", "gemfile", "go.mod",
    "jenkinsfile", "justfile", "makefile", "pipfile", "procfile", "rakefile", "requirements.txt",
    "tox.ini", "vagrantfile", "version", "workspace",
})  # fmt: skip

_SOURCE_ENDS: Final = _words("""
    ada adb ads agda asm s c cc cpp cxx c++ h hh hpp hxx m mm cairo circom clj cljc cljs coffee cr
    cs cu cuh d dart el elm erl hrl ex exs f f77 f90 f95 f03 fs fsi fsx gleam go graphql gql groovy
    hs lhs hx html htm css scss sass less idr ino java jl js cjs mjs jsx kt kts lean lisp lsp lua ml
    mli move nim nix odin pas php pl pm proto ps1 purs py pyi pyx pxd r rb re res rkt rs scala scm
    sh bash zsh fish sol sql st sv svelte swift tcl thrift tla ts cts mts tsx v vala vb vhd vhdl vue
    vy vyi wat wgsl glsl hlsl metal yul zig ftl jinja j2 tmpl
""")
_DOCUMENT_ENDS: Final = _words("""
    md mdx markdown rst txt adoc asciidoc org tex bib pdf doc docx odt ppt pptx rtf png jpg jpeg gif
    svg webp bmp ico tif tiff psd drawio puml mp3 mp4 mov webm wav ogg ttf otf woff woff2 eot
""")
_INFRASTRUCTURE_ENDS: Final = _words("""
    yaml yml json json5 jsonc toml ini cfg conf config properties env gradle cmake mk bazel bzl tf
    tfvars hcl xml plist editorconfig gitignore gitattributes gitmodules gitkeep keep dockerignore
    npmignore npmrc nvmrc prettierrc eslintrc eslintignore prettierignore pylintrc flake8 mailmap
    sln csproj vcxproj pbxproj cabal nimble gemspec podspec service
""")
_DATA_ENDS: Final = _words("""
    csv tsv parquet feather arrow avro orc ipynb jsonl ndjson npy npz pkl pickle h5 hdf5 mat rds
    rdata db sqlite sqlite3 dump sav xls xlsx ods dat bin log out geojson shp kml onnx pt pth
    safetensors gguf ckpt pb tflite zip gz tgz bz2 xz zst 7z tar rar jar war whl so dll dylib exe a
    o wasm
""")
_GENERATED_ENDS: Final = (
    ".min.js", ".min.css", ".map", ".lock", ".snap", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py",
    ".pb.go", ".pb.cc", ".pb.h", ".g.dart", ".generated.cs", ".designer.cs",
)  # fmt: skip


@functools.lru_cache(maxsize=1 << 16)
def kind_of(path: bytes) -> Kind:
    """Say what kind of file a path names.

    Examples
    --------
    >>> kind_of(b"src/model.py").name, kind_of(b"docs/model.py").name, kind_of(b"a/b.csv").name
    ('SOURCE', 'DOCUMENTS', 'DATA')
    """
    *folders, name = path.decode("utf-8", "replace").casefold().split("/")
    stem, dot, end = name.rpartition(".")
    if not dot:
        stem, end = name, ""
    places = frozenset(folders)
    if places & _GENERATED_FOLDERS or name in _LOCKS or name.endswith(_GENERATED_ENDS):
        return Kind.GENERATED
    if places & _DOCUMENT_FOLDERS or (stem in _DOCUMENT_NAMES and end not in _SOURCE_ENDS):
        return Kind.DOCUMENTS
    if name in _INFRASTRUCTURE_NAMES or places & _INFRASTRUCTURE_FOLDERS:
        return Kind.INFRASTRUCTURE
    if end in _SOURCE_ENDS:
        return Kind.SOURCE
    if end in _DATA_ENDS or (
        places & _DATA_FOLDERS and end in {"json", "txt", "xml", "yaml", "yml"}
    ):
        return Kind.DATA
    if end in _DOCUMENT_ENDS:
        return Kind.DOCUMENTS
    if end in _INFRASTRUCTURE_ENDS or not stem:
        return Kind.INFRASTRUCTURE
    return Kind.OTHER

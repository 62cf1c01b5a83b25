"""Data sets: what there is (`list_manifests`), getting it (`fetch`) and reading it (`load`)."""

from bftembed.data._download import download_url, without_secrets
from bftembed.data._pickles import read_pickle
from bftembed.data._texts import read_gmt
from bftembed.data.fetch import FileStatus, available, fetch, verify
from bftembed.data.given import given_file, given_files, is_given
from bftembed.data.manifest import Manifest, ManifestFile, get_manifest, list_manifests
from bftembed.data.readers import load

__all__ = [
    "FileStatus",
    "Manifest",
    "ManifestFile",
    "available",
    "download_url",
    "fetch",
    "get_manifest",
    "given_file",
    "given_files",
    "is_given",
    "list_manifests",
    "load",
    "read_gmt",
    "read_pickle",
    "verify",
    "without_secrets",
]

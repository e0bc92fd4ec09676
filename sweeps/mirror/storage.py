"""A sweep in a durable file system, which is any that pyarrow opens by a URI.

A driver's own disk may be lost with its machine, such as a pod; durable storage is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import fs

from kdtasks.contract.errors import ConfigError, UserError
from sweeps.common.limits import free_memory
from sweeps.common.secrets import has_secret

APPEARS_WHOLE = ("s3", "gcs", "abfs")
"""File systems in which a file appears only when it is complete."""

REPLACES_NOTHING = ("hdfs",)
"""File systems that cannot move a file over another, which is deleted first."""

LOCAL_FILES = fs.LocalFileSystem()
"""The file system of this machine, also for paths that resemble addresses."""

NO_DEVICES = (fs.FileType.File, fs.FileType.NotFound)

MOST_SHARE = 0.5
"""Largest share of the free memory for one file."""

LONGEST = 200
"""Longest text that is shown of a library's message [characters]."""


def cause(error: BaseException) -> str:
    """Return the first line of a file system's error, shortened."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:  # one type for all errors of file systems
        raise OSError(cause(error)) from error


class Storage:
    """The folder ``root`` of one sweep in a file system, called ``where`` in messages."""

    def __init__(self, files: fs.FileSystem, root: str, where: str) -> None:
        self._files = files
        self._root = root
        self.where = where

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if there is no such file.

        Raises:
            OSError: If the file system does not answer, the path is not a file, or the file has
                more than half of the free memory.
        """
        local = self._files.type_name == LOCAL_FILES.type_name
        try:
            with _as_os_error():
                # a local path may be a pipe or device, which may never end
                if local and self._files.get_file_info(self._at(path)).type not in NO_DEVICES:
                    raise OSError(f"{path} is not a file")
                with self._files.open_input_file(self._at(path)) as file:
                    if (size := file.size()) > MOST_SHARE * free_memory().amount:
                        raise OSError(f"{path} has {size} bytes, more than fits into memory")
                    content: bytes = file.read()
        except FileNotFoundError:
            return None
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write or replace a file atomically.

        Raises:
            OSError: If writing fails.
        """
        if self._files.type_name in APPEARS_WHOLE:
            self._put(self._at(path), content)
            return
        folder, _, name = self._at(path).rpartition("/")
        partial = f"{folder}/.{name}.part"
        with _as_os_error():
            self._files.create_dir(folder, recursive=True)
            self._put(partial, content)
            if self._files.type_name in REPLACES_NOTHING:
                self.delete(path)
            self._files.move(partial, self._at(path))

    def _put(self, path: str, content: bytes) -> None:
        with (
            _as_os_error(),
            self._files.open_output_stream(path, compression=None) as stream,
        ):
            stream.write(content)

    def delete(self, path: str) -> None:
        """Delete a file if it exists.

        Raises:
            OSError: If deleting fails.
        """
        with _as_os_error():
            if self._files.get_file_info(self._at(path)).type == fs.FileType.File:
                self._files.delete_file(self._at(path))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes [byte] of all files below a folder, by their path in the sweep.

        Raises:
            OSError: If the file system does not answer.
        """
        chosen = fs.FileSelector(self._at(folder), allow_not_found=True, recursive=True)
        found = {}
        with _as_os_error():
            infos = self._files.get_file_info(chosen)
        for info in infos:
            if info.type == fs.FileType.File and not info.base_name.startswith("."):
                path = str(info.path)
                found[path[path.rindex(self._at(folder)) + len(self._root) + 1 :]] = int(info.size)
        return found


def open_storage(uri: str, name: str) -> Storage:
    """Return the storage of a sweep below a URI, without writing anything.

    Raises:
        UserError: If the URI holds a secret or names no file system that can be reached.
    """
    if has_secret(uri):  # which is not repeated: URIs are shown and stored
        raise ConfigError(
            f"--storage {uri.partition('://')[0]}://...: the URI holds a password or key; give it "
            "without, and the credentials in the environment, for S3 AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    shown = uri.partition("?")[0].rstrip("/")
    try:
        files, root = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"--storage {shown}: {cause(error)}; give a URI such as file:///mnt/shared/sweeps, "
            "s3://bucket/sweeps or gs://bucket/sweeps"
        ) from error
    except (OSError, ImportError, NotImplementedError) as error:
        raise UserError(
            f"--storage {shown} cannot be reached: {cause(error)}; check address, network and the "
            "credentials in the environment"
        ) from error
    return Storage(files, f"{root.rstrip('/')}/{name}", f"{shown}/{name}")


@contextmanager
def reached(storage: Storage) -> Iterator[None]:
    """Turn errors of a storage inside into user errors."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{storage.where}: {cause(error)}; check that --storage can be reached and written to, "
            "and that the credentials are in the environment"
        ) from error

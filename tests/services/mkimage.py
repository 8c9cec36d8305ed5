#!/usr/bin/env python3
"""Packs directories into an image archive that containerd imports: no daemon, no registry.

    mkimage.py --name gridflow.local/busybox:1 --out busybox.tar FOLDER [--layer FOLDER]... [--cmd sh]
               [--entrypoint /program] [--env K=V]... [--workdir /] [--user 65532]

Each directory is one layer. Owners are root and times are zero, so the same files give the same digest.
"""
import argparse
import hashlib
import io
import json
import os
import platform
import tarfile

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OCI = "application/vnd.oci.image."


def add_file(tar, path, name):
    info = tar.gettarinfo(path, arcname=name)
    if info is None:  # a socket
        return
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    if info.isreg():
        with open(path, "rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def write_layer(root, path):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for base, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(folders + files):
                full = os.path.join(base, name)
                add_file(tar, full, os.path.relpath(full, root))


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def described(media, raw):
    return {"mediaType": OCI + media, "digest": "sha256:" + hashlib.sha256(raw).hexdigest(), "size": len(raw)}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("rootfs")
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--layer", action="append", default=[])
    parser.add_argument("--cmd", nargs="*")
    parser.add_argument("--entrypoint", nargs="*")
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--workdir", default="/")
    parser.add_argument("--user", default="")
    return parser.parse_args()


def main():
    args = arguments()
    layers = []
    for number, root in enumerate([args.rootfs, *args.layer]):
        path = f"{args.out}.layer{number}"
        write_layer(root, path)
        layers.append((path, digest(path)))
    config = {"Env": args.env or [PATH], "WorkingDir": args.workdir}
    config |= {key: value for key, value in
               [("Cmd", args.cmd), ("Entrypoint", args.entrypoint), ("User", args.user)] if value}
    config = as_json({
        "architecture": ARCHITECTURE, "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha for _, sha in layers]}})
    manifest = as_json({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": described("config.v1+json", config),
        "layers": [{"mediaType": OCI + "layer.v1.tar", "digest": "sha256:" + sha, "size": os.path.getsize(path)}
                   for path, sha in layers]})
    index = as_json({"schemaVersion": 2, "manifests": [described("manifest.v1+json", manifest) | {
        "platform": {"architecture": ARCHITECTURE, "os": "linux"},
        "annotations": {"io.containerd.image.name": args.name,
                        "org.opencontainers.image.ref.name": args.name.rsplit(":", 1)[-1]}}]})
    # Under another name until it is whole.
    with tarfile.open(args.out + ".part", "w") as tar:
        def put(name, raw):
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
        put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put("index.json", index)
        for raw in (config, manifest):
            put("blobs/sha256/" + hashlib.sha256(raw).hexdigest(), raw)
        for sha, path in {sha: path for path, sha in layers}.items():
            tar.add(path, arcname="blobs/sha256/" + sha)
    for path, _ in layers:
        os.unlink(path)
    os.rename(args.out + ".part", args.out)


if __name__ == "__main__":
    main()

//! Writes a container image as an OCI layout in a tar archive: one layer, no daemon, no clock.
//! Equal content gives an equal digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// Time of everything in an image, so that a rebuild is the same image.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What an image consists of.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Full names, each with a tag. The first part of a name must contain a dot, else Docker Hub is meant.
    pub(crate) names: Vec<String>,
    /// Files, links and directories, in any order.
    pub(crate) entries: Vec<Entry>,
    /// The program to run; may be empty.
    pub(crate) entrypoint: Vec<String>,
    /// `uid:gid`; empty means root.
    pub(crate) user: String,
    /// In Go's words: `amd64`, `arm64`.
    pub(crate) architecture: &'static str,
    /// Whether the layer is compressed: worth it where the image travels.
    pub(crate) compressed: bool,
}

/// zstd's own default: the next levels cost seconds and save little.
const LEVEL: i32 = 3;

/// One path of the image.
#[derive(Debug)]
pub(crate) struct Entry {
    path: String,
    mode: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    Copy(PathBuf),
    Text(String),
    Link(String),
    Directory,
}

impl Entry {
    /// An executable copied from this machine.
    pub(crate) fn program(path: impl Into<String>, from: PathBuf) -> Self {
        Self { path: path.into(), mode: 0o755, what: What::Copy(from) }
    }

    /// A small readable file.
    pub(crate) fn text(path: impl Into<String>, content: &str) -> Self {
        Self { path: path.into(), mode: 0o644, what: What::Text(content.to_owned()) }
    }

    /// A symbolic link.
    pub(crate) fn link(path: impl Into<String>, target: &str) -> Self {
        Self { path: path.into(), mode: 0o777, what: What::Link(target.to_owned()) }
    }

    /// A directory.
    pub(crate) fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, what: What::Directory }
    }
}

impl Archive {
    /// Writes the archive and gives the digest (hexadecimal) of the image's manifest, which does not depend on
    /// its names.
    pub(crate) fn write(&self, path: &Path) -> Result<String> {
        let image = Image::new(self)?;
        image.write(&self.names, path)?;
        Ok(image.manifest_digest)
    }

    /// Writes the archive with the names that `names` gives for the image's digest.
    pub(crate) fn write_named(&self, path: &Path, names: impl FnOnce(&str) -> Vec<String>) -> Result<String> {
        let image = Image::new(self)?;
        image.write(&names(&image.manifest_digest), path)?;
        Ok(image.manifest_digest)
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut tar = Builder::new(Vec::new());
        let mut written = BTreeSet::new();
        for entry in entries {
            for parent in Path::new(&entry.path).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                if parent.as_os_str().is_empty() || written.contains(parent) {
                    continue;
                }
                append(&mut tar, &parent.to_string_lossy(), 0o755, EntryType::Directory, &[])?;
                written.insert(parent.to_path_buf());
            }
            ensure!(written.insert(PathBuf::from(&entry.path)), "{} is twice in the image", entry.path);
            match &entry.what {
                What::Copy(from) => {
                    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
                    append(&mut tar, &entry.path, entry.mode, EntryType::Regular, &content)?;
                }
                What::Text(text) => append(&mut tar, &entry.path, entry.mode, EntryType::Regular, text.as_bytes())?,
                What::Directory => append(&mut tar, &entry.path, entry.mode, EntryType::Directory, &[])?,
                What::Link(target) => {
                    let mut header = header(entry.mode, EntryType::Symlink, 0);
                    tar.append_link(&mut header, &entry.path, target)?;
                }
            }
        }
        Ok(tar.into_inner()?)
    }
}

/// The blobs of an image.
struct Image {
    blobs: BTreeMap<String, Vec<u8>>,
    manifest_digest: String,
    manifest_size: usize,
    architecture: &'static str,
}

impl Image {
    fn new(archive: &Archive) -> Result<Self> {
        let layer = archive.layer()?;
        let content_digest = digest(&layer);
        let (layer, kind) = if archive.compressed {
            (zstd::encode_all(layer.as_slice(), LEVEL).context("cannot compress the layer")?, "layer.v1.tar+zstd")
        } else {
            (layer, "layer.v1.tar")
        };
        let (layer_digest, layer_size) = (digest(&layer), layer.len());
        let mut config = json!({"WorkingDir": "/"});
        if !archive.entrypoint.is_empty() {
            config["Entrypoint"] = json!(archive.entrypoint);
        } else if archive.user.is_empty() {
            config["Cmd"] = json!(["/bin/sh"]);
        }
        if !archive.user.is_empty() {
            config["User"] = json!(archive.user);
        }
        let config = json!({
            "architecture": archive.architecture,
            "os": "linux",
            "created": EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{content_digest}")]},
            "history": [{"created": EPOCH, "created_by": "cargo xtask image"}],
        });
        let config = serde_json::to_vec(&config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &digest(&config), config.len()),
            "layers": [descriptor(kind, &layer_digest, layer_size)],
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let (manifest_digest, manifest_size) = (digest(&manifest), manifest.len());
        let blobs = [(layer_digest, layer), (digest(&config), config), (manifest_digest.clone(), manifest)].into();
        Ok(Self { blobs, manifest_digest, manifest_size, architecture: archive.architecture })
    }

    fn write(&self, names: &[String], path: &Path) -> Result<()> {
        let manifests: Vec<Value> = names.iter().map(|name| self.named(name)).collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        let file = fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut tar = Builder::new(std::io::BufWriter::new(file));
        append(&mut tar, "oci-layout", 0o644, EntryType::Regular, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut tar, "index.json", 0o644, EntryType::Regular, &serde_json::to_vec(&index)?)?;
        for (digest, blob) in &self.blobs {
            append(&mut tar, &format!("blobs/sha256/{digest}"), 0o644, EntryType::Regular, blob)?;
        }
        std::io::Write::flush(&mut tar.into_inner()?)?;
        Ok(())
    }

    fn named(&self, name: &str) -> Value {
        let mut named = descriptor("manifest.v1+json", &self.manifest_digest, self.manifest_size);
        named["platform"] = json!({"architecture": self.architecture, "os": "linux"});
        named["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rsplit(':').next().unwrap_or_default(),
        });
        named
    }
}

fn descriptor(kind: &str, digest: &str, size: usize) -> Value {
    json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": format!("sha256:{digest}"), "size": size})
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn header(mode: u32, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append<W: std::io::Write>(
    tar: &mut Builder<W>,
    path: &str,
    mode: u32,
    kind: EntryType,
    content: &[u8],
) -> Result<()> {
    let mut header = header(mode, kind, content.len() as u64);
    tar.append_data(&mut header, path, content).with_context(|| format!("cannot add {path} to the archive"))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn archive(entries: Vec<Entry>) -> Archive {
        Archive {
            names: vec!["securityv0.local/a:1".into(), "securityv0.local/a:dev".into()],
            entries,
            entrypoint: vec!["/a".into()],
            user: "65532:65532".into(),
            architecture: "amd64",
            compressed: false,
        }
    }

    fn members(path: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(fs::File::open(path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(name, content);
        }
        found
    }

    #[test]
    fn the_order_of_entries_does_not_matter_and_content_does() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = ["1", "2", "3"].map(|name| dir.path().join(name));
        let (a, b) = (|| Entry::text("x/a", "a"), || Entry::text("b", "b"));
        let first = archive(vec![a(), b()]).write(&one).unwrap();
        assert_eq!(first, archive(vec![b(), a()]).write(&two).unwrap());
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert_ne!(first, archive(vec![a(), Entry::text("b", "c")]).write(&three).unwrap());
    }

    #[test]
    fn every_name_points_to_one_verifiable_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let expected = archive(vec![Entry::text("a", "a")]).write(&path).unwrap();
        let members = members(&path);
        for (name, content) in members.iter().filter_map(|(n, c)| Some((n.strip_prefix("blobs/sha256/")?, c))) {
            assert_eq!(name, digest(content));
        }
        let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 2);
        for manifest in manifests {
            assert_eq!(manifest["digest"], format!("sha256:{expected}"));
        }
        let manifest: Value = serde_json::from_slice(&members[&format!("blobs/sha256/{expected}")]).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        let config: Value = serde_json::from_slice(&members[&config]).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
    }

    #[test]
    fn a_compressed_layer_holds_the_same_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let mut image = archive(vec![Entry::text("a", &"a".repeat(100_000))]);
        image.compressed = true;
        let manifest = image.write(&path).unwrap();
        let members = members(&path);
        let json = |digest: &str| -> Value { serde_json::from_slice(&members[&blob(digest)]).unwrap() };
        let manifest = json(&manifest);
        let layer = &manifest["layers"][0];
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
        let compressed = &members[&blob(layer["digest"].as_str().unwrap())];
        assert!(compressed.len() < 10_000);
        let content = format!("sha256:{}", digest(&zstd::decode_all(compressed.as_slice()).unwrap()));
        let config = json(manifest["config"]["digest"].as_str().unwrap());
        assert_eq!(config["rootfs"]["diff_ids"][0], content);
    }

    fn blob(digest: &str) -> String {
        format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))
    }

    #[test]
    fn a_path_given_twice_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let twice = archive(vec![Entry::text("a", "1"), Entry::text("a", "2")]);
        assert!(twice.write(&dir.path().join("x")).unwrap_err().to_string().contains("twice"));
    }
}

//! Programs compiled from pinned Go modules: a cluster's components, `helm`, `kubectl`, `kubeconform`.
//!
//! The checkout holds only module files (`e2e/cluster/modules/`) and small sources. Each group is built into
//! `<cache>/cluster/<group>-<digest>/bin`, where the digest covers the module files, the sources and the build
//! flags: unchanged means nothing to do, and two checkouts share what is equal.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::context::{Context, note};
use crate::sh::Sh;

/// Programs that share one Go module and so one set of library versions.
#[derive(Debug)]
pub(crate) struct Group {
    name: &'static str,
    /// Folder of the Go module below `e2e/cluster/modules`.
    module: &'static str,
    programs: &'static [Program],
}

/// One program of a group.
#[derive(Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
    /// Linker variables to set to the version of the module in the second place, as pinned in `go.mod`.
    versions: &'static [(&'static str, &'static str)],
    /// Build tags.
    tags: &'static str,
}

const KUBERNETES: &str = "k8s.io/kubernetes";
/// Without these the API server calls itself v0.0.0 and the version checks of clients and charts go wrong.
const KUBE_VERSIONS: &[(&str, &str)] = &[
    ("k8s.io/component-base/version.gitVersion", KUBERNETES),
    ("k8s.io/client-go/pkg/version.gitVersion", KUBERNETES),
];
const CONTAINERD: &[(&str, &str)] =
    &[("github.com/containerd/containerd/v2/version.Version", "github.com/containerd/containerd/v2")];
const CONTAINERD_TAGS: &str = "no_btrfs no_devmapper no_zfs";
const CNI: &[(&str, &str)] = &[(
    "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion",
    "github.com/containernetworking/plugins",
)];
const NETWORK_POLICIES: &str = "sigs.k8s.io/kube-network-policies";

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, package, versions: &[], tags: "" }
}

const fn kube(name: &'static str, package: &'static str) -> Program {
    Program { name, package, versions: KUBE_VERSIONS, tags: "" }
}

/// Kubernetes itself and what shares its libraries. One module on purpose: everything then compiles the same
/// versions of the large common libraries, and each further program costs seconds.
pub(crate) const CONTROL: Group = Group {
    name: "control",
    module: "control",
    programs: &[
        kube("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        kube("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        kube("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        kube("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        kube("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        program("etcd", "go.etcd.io/etcd/server/v3"),
        program("coredns", "./coredns"),
        program("kube-network-policies", "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard"),
    ],
};

/// What talks to any cluster, and the network tool of the test image. The same module, so that it costs nothing beside [`CONTROL`], and a group of its own,
/// so that a cluster from elsewhere does not need the rest.
pub(crate) const CLIENT: Group = Group {
    name: "client",
    module: "control",
    programs: &[
        kube("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        program("probe", "./probe"),
        Program {
            name: "helm",
            package: "helm.sh/helm/v4/cmd/helm",
            versions: &[("helm.sh/helm/v4/internal/version.version", "helm.sh/helm/v4")],
            tags: "",
        },
    ],
};

/// The container runtime.
pub(crate) const NODE: Group = Group {
    name: "node",
    module: "node",
    programs: &[
        Program {
            name: "containerd",
            package: "github.com/containerd/containerd/v2/cmd/containerd",
            versions: CONTAINERD,
            tags: CONTAINERD_TAGS,
        },
        Program {
            name: "containerd-shim-runc-v2",
            package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            versions: CONTAINERD,
            tags: CONTAINERD_TAGS,
        },
        Program {
            name: "ctr",
            package: "github.com/containerd/containerd/v2/cmd/ctr",
            versions: CONTAINERD,
            tags: CONTAINERD_TAGS,
        },
    ],
};

/// The pod network's plugins.
pub(crate) const NETWORK: Group = Group {
    name: "cni",
    module: "cni",
    programs: &[
        Program {
            name: "bridge",
            package: "github.com/containernetworking/plugins/plugins/main/bridge",
            versions: CNI,
            tags: "",
        },
        Program {
            name: "host-local",
            package: "github.com/containernetworking/plugins/plugins/ipam/host-local",
            versions: CNI,
            tags: "",
        },
        Program {
            name: "portmap",
            package: "github.com/containernetworking/plugins/plugins/meta/portmap",
            versions: CNI,
            tags: "",
        },
    ],
};

/// Dynamic volumes.
pub(crate) const VOLUMES: Group = Group {
    name: "volumes",
    module: "volumes",
    programs: &[program("local-path-provisioner", "github.com/rancher/local-path-provisioner")],
};

/// The manifest checker of the charts stage.
pub(crate) const LINT: Group = Group {
    name: "lint",
    module: "lint",
    programs: &[program("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")],
};

/// A cluster in Docker.
pub(crate) const KIND: Group = Group { name: "kind", module: "kind", programs: &[program("kind", "sigs.k8s.io/kind")] };

const ALL: &[&Group] = &[&CLIENT, &CONTROL, &NODE, &NETWORK, &VOLUMES, &LINT, &KIND];

/// Where the program `name` is. It is an error when its group has not been built yet.
pub(crate) fn path(ctx: &Context, name: &str) -> Result<PathBuf> {
    let group = ALL
        .iter()
        .find(|group| group.programs.iter().any(|program| program.name == name))
        .ok_or_else(|| anyhow!("no group of Go modules builds a program {name}"))?;
    let path = group.bin(ctx)?.join(name);
    ensure!(path.exists(), "{name} is not built yet: run `cargo xtask cluster up` first");
    Ok(path)
}

/// Builds what is missing of the groups; says per group whether it was already there.
pub(crate) fn ensure_built(ctx: &Context, groups: &[&Group]) -> Result<String> {
    let _lock = ctx.lock("tools")?;
    let mut built = Vec::new();
    for group in groups {
        if !group.bin(ctx)?.exists() {
            group.build(ctx)?;
            built.push(group.name);
        }
    }
    Ok(if built.is_empty() { "warm: nothing to build".to_owned() } else { format!("built {}", built.join(", ")) })
}

/// One directory with links to every program of the groups, for `PATH`.
pub(crate) fn bin_dir(ctx: &Context, groups: &[&Group]) -> Result<PathBuf> {
    let mut digest = Sha256::new();
    for group in groups {
        digest.update(group.digest(ctx)?);
    }
    let dir = ctx.cache.join("cluster").join(short(digest)).join("bin");
    if !dir.exists() {
        let _lock = ctx.lock("links")?;
        let partial = dir.with_extension("partial");
        remove_dir(&partial)?;
        fs::create_dir_all(&partial)?;
        for group in groups {
            for program in group.programs {
                symlink(group.bin(ctx)?.join(program.name), partial.join(program.name))?;
            }
        }
        remove_dir(&dir)?;
        fs::rename(&partial, &dir)?;
    }
    Ok(dir)
}

impl Group {
    /// The directory of the built programs, whether it exists or not.
    pub(crate) fn bin(&self, ctx: &Context) -> Result<PathBuf> {
        Ok(self.home(ctx)?.join("bin"))
    }

    fn home(&self, ctx: &Context) -> Result<PathBuf> {
        Ok(ctx.cache.join("cluster").join(format!("{}-{}", self.name, self.digest(ctx)?)))
    }

    fn module(&self, ctx: &Context) -> PathBuf {
        ctx.root.join("e2e/cluster/modules").join(self.module)
    }

    /// Digest of everything that decides what the programs are.
    fn digest(&self, ctx: &Context) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(format!("{:?} {FLAGS:?}", self.programs));
        let module = self.module(ctx);
        for file in files_below(&module)? {
            let name = file.strip_prefix(&module)?;
            let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            digest.update(format!("{} {}\n", name.display(), content.len()));
            digest.update(content);
        }
        Ok(short(digest))
    }

    /// Builds in a copy of the module, so that nothing is ever written into the checkout.
    fn build(&self, ctx: &Context) -> Result<()> {
        ensure!(
            Sh::new("go").arg("version").succeeds(),
            "Go is needed to build {}: install the version named in e2e/cluster/modules/{}/go.mod or newer",
            self.name,
            self.module
        );
        let home = self.home(ctx)?;
        let (source, partial) = (home.join("source"), home.join("bin.partial"));
        remove_dir(&home)?;
        copy_dir(&self.module(ctx), &source)?;
        fs::create_dir_all(&partial)?;
        let go_mod = fs::read_to_string(source.join("go.mod"))?;
        // The module file points to the patched copy, so it has to be there whichever program is built.
        if let Ok(version) = pinned(&go_mod, NETWORK_POLICIES) {
            patch_network_policies(&source, version)?;
        }
        for program in self.programs {
            let start = Instant::now();
            program.build(&source, &go_mod, &partial)?;
            note(&format!("{} built in {} s", program.name, start.elapsed().as_secs()));
        }
        remove_dir(&source)?;
        fs::rename(&partial, home.join("bin"))?;
        Ok(())
    }
}

const FLAGS: &[&str] = &["build", "-trimpath", "-buildvcs=false"];

impl Program {
    fn build(&self, source: &Path, go_mod: &str, out: &Path) -> Result<()> {
        let mut linker = "-s -w".to_owned();
        for (variable, module) in self.versions {
            let version = pinned(go_mod, module)?;
            write!(linker, " -X {variable}={version}")?;
            if *module == KUBERNETES && variable.starts_with("k8s.io/component-base/") {
                let (major, minor) = major_minor(version)?;
                let package = "k8s.io/component-base/version";
                write!(linker, " -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")?;
            }
        }
        Sh::new("go")
            .args(FLAGS)
            .args(["-tags", self.tags, "-ldflags", &linker, "-o"])
            .arg(out.join(self.name))
            .arg(self.package)
            .dir(source)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .quiet()
            .with_context(|| format!("cannot build {}", self.name))
    }
}

/// The version at which `go.mod` requires `module`.
fn pinned<'a>(go_mod: &'a str, module: &str) -> Result<&'a str> {
    go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| line.strip_prefix(module)?.strip_prefix(' ')?.split_whitespace().next())
        .filter(|version| version.starts_with('v'))
        .ok_or_else(|| anyhow!("go.mod requires no version of {module}"))
}

fn major_minor(version: &str) -> Result<(&str, &str)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    numbers.next().zip(numbers.next()).ok_or_else(|| anyhow!("{version} is not a version"))
}

/// Puts a patched copy of the network policy program's source where `go.mod` looks for it: some kernels lack the
/// nftables expression that it queues packets with.
fn patch_network_policies(source: &Path, version: &str) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Downloaded {
        dir: PathBuf,
    }
    let answer = Sh::new("go")
        .args(["mod", "download", "-json", &format!("{NETWORK_POLICIES}@{version}")])
        .dir(Path::new("/"))
        .read()?;
    let downloaded: Downloaded = serde_json::from_str(&answer).context("unexpected answer of `go mod download`")?;
    let copy = source.join("kube-network-policies");
    copy_dir(&downloaded.dir, &copy)?;
    let controller = copy.join("pkg/dataplane/controller.go");
    let patched = with_replaced_queue(&fs::read_to_string(&controller)?)?;
    fs::write(&controller, patched)?;
    fs::copy(source.join("nfqueue.go.txt"), copy.join("pkg/dataplane/handover.go"))?;
    Ok(())
}

/// Replaces every place where the program builds its queue expression by a call of our function.
fn with_replaced_queue(source: &str) -> Result<String> {
    const ORIGINAL: &str = "queue := &expr.Queue{Num: uint16(c.config.QueueID)}\n\tif c.config.FailOpen {\n\t\tqueue.Flag = expr.QueueFlagBypass\n\t}";
    const OURS: &str = "queue := handOver(uint16(c.config.QueueID), c.config.FailOpen)";
    let patched = source.replace(ORIGINAL, OURS);
    if patched == source || patched.contains("expr.Queue{") {
        bail!("the network policy program has changed: adapt the replacement of its queue expression in tools.rs");
    }
    Ok(patched)
}

/// Every file below `dir`, sorted.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a directory tree; the copy is writable even where the original (a Go module cache) is not.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        let target = to.join(file.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Removes a directory tree that may not be there.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Twelve hexadecimal digits of a digest: enough to tell builds apart, short enough to read.
pub(crate) fn short(digest: Sha256) -> String {
    hex::encode(&digest.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str = "module x\n\nrequire github.com/a/b v1.2.3\n\nrequire (\n\tk8s.io/kubernetes v1.36.3\n\tk8s.io/kubernetes-other v0.1.0 // indirect\n)\n";

    #[test]
    fn versions_come_from_the_module_file() {
        assert_eq!(pinned(GO_MOD, "k8s.io/kubernetes").unwrap(), "v1.36.3");
        assert_eq!(pinned(GO_MOD, "github.com/a/b").unwrap(), "v1.2.3");
        assert!(pinned(GO_MOD, "github.com/a").is_err());
        assert_eq!(major_minor("v1.36.3").unwrap(), ("1", "36"));
    }

    #[test]
    fn the_digest_follows_every_file() {
        let root = tempfile::tempdir().unwrap();
        let module = root.path().join("e2e/cluster/modules/lint");
        fs::create_dir_all(module.join("sub")).unwrap();
        fs::write(module.join("go.mod"), GO_MOD).unwrap();
        fs::write(module.join("sub/main.go"), "a").unwrap();
        let ctx = Context { root: root.path().into(), cache: root.path().into(), state: root.path().into() };
        let before = LINT.digest(&ctx).unwrap();
        assert_eq!(before, LINT.digest(&ctx).unwrap());
        fs::write(module.join("sub/main.go"), "b").unwrap();
        assert_ne!(before, LINT.digest(&ctx).unwrap());
    }

    #[test]
    fn a_changed_policy_program_is_noticed() {
        assert!(with_replaced_queue("func other() {}").is_err());
        let known = "\tqueue := &expr.Queue{Num: uint16(c.config.QueueID)}\n\tif c.config.FailOpen {\n\t\tqueue.Flag = expr.QueueFlagBypass\n\t}\n";
        assert_eq!(
            with_replaced_queue(known).unwrap(),
            "\tqueue := handOver(uint16(c.config.QueueID), c.config.FailOpen)\n"
        );
    }

    #[test]
    fn every_pinned_version_is_in_the_checked_in_module_files() {
        let ctx = Context::find().unwrap();
        for group in ALL {
            let go_mod = fs::read_to_string(group.module(&ctx).join("go.mod")).unwrap();
            for (_, module) in group.programs.iter().flat_map(|program| program.versions) {
                pinned(&go_mod, module).unwrap_or_else(|error| panic!("{}: {error}", group.name));
            }
        }
    }
}

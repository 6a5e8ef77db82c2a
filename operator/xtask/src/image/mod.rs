//! `cargo xtask image`: the operator's container image (and on request the simulated estate's) as OCI archives,
//! made without a Docker daemon: static programs on an empty root, run as a numeric user.

pub(crate) mod oci;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use self::oci::{Archive, Entry};
use self::programs::Source;
use crate::cluster::Cluster;
use crate::context::{Context, Stages, note};

/// `securityv0.com` is nobody's registry here: the images only travel as archives.
const REPOSITORY: &str = "securityv0.local";
/// Numeric, so that the kubelet can verify `runAsNonRoot`.
const USER: &str = "65532:65532";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to build.
    #[arg(value_enum, default_value = "operator")]
    images: Vec<Which>,
    /// Import the images into the cluster in use.
    #[arg(long)]
    load: bool,
    /// The machine that the image is for.
    #[arg(long, value_enum, default_value_t = Arch::host())]
    arch: Arch,
}

/// The images of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The operator's four programs.
    Operator,
    /// The simulated estate, for tests and the demonstration.
    Estate,
}

/// Processor architectures that the image can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm; needs the Rust target and a cross linker.
    Arm64,
}

/// An image that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// Name with a tag made of the content's digest: `securityv0.local/operator:0123456789ab`.
    pub(crate) name: String,
    /// The OCI archive. It also carries the name with the tag `dev`.
    pub(crate) archive: PathBuf,
    /// Size of the archive in bytes.
    pub(crate) bytes: u64,
}

/// The operator's programs.
const OPERATOR: [Source; 4] = [
    Source { package: "sv0-manager", program: "manager" },
    Source { package: "sv0-scan", program: "scan" },
    Source { package: "sv0-store", program: "store" },
    Source { package: "sv0-evaluate", program: "evaluate" },
];
const ESTATE: [Source; 1] = [Source { package: "sv0-estate", program: "estate" }];

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let mut stages = Stages::default();
    let mut images = Vec::new();
    for which in &args.images {
        let (name, build): (_, fn(&Context, Arch) -> Result<Built>) = match which {
            Which::Operator => ("operator image", operator),
            Which::Estate => ("estate image", estate),
        };
        images.push(stages.run(name, || Ok((build(ctx, args.arch)?, String::new())))?);
    }
    if args.load {
        let cluster = Cluster::require(ctx)?;
        stages.run("load", || {
            images.iter().try_for_each(|image| cluster.load(ctx, &image.archive))?;
            Ok(((), String::new()))
        })?;
    }
    stages.print();
    for image in &images {
        println!("{} {} {:.1} MB", image.name, image.archive.display(), megabytes(image.bytes));
    }
    Ok(())
}

/// Builds the operator's image.
pub(crate) fn operator(ctx: &Context, arch: Arch) -> Result<Built> {
    let files = programs::build(ctx, &OPERATOR, arch)?;
    // Four programs share the image; each Job and Deployment names its own as the command.
    build_archive(ctx, "operator", files, &[], arch)
}

/// Builds the image of the simulated estate.
pub(crate) fn estate(ctx: &Context, arch: Arch) -> Result<Built> {
    let files = programs::build(ctx, &ESTATE, arch)?;
    build_archive(ctx, "estate", files, &["/estate"], arch)
}

/// Writes the image `securityv0.local/<name>` with the programs at the root of an otherwise empty file system.
/// `programs` are pairs of the name in the image and the file here.
pub(crate) fn build_archive(
    ctx: &Context,
    name: &str,
    programs: Vec<(String, PathBuf)>,
    entrypoint: &[&str],
    arch: Arch,
) -> Result<Built> {
    let dir = ctx.root.join("target/images");
    fs::create_dir_all(&dir)?;
    let archive = dir.join(format!("{name}-{}.tar", arch.name()));
    let image = Archive {
        names: Vec::new(),
        entries: programs.into_iter().map(|(name, file)| Entry::program(name, file)).collect(),
        entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
        user: USER.to_owned(),
        architecture: arch.name(),
        compressed: true,
    };
    let digest =
        image.write_named(&archive, |digest| vec![tagged(name, digest), format!("{REPOSITORY}/{name}:dev")])?;
    let bytes = size(&archive)?;
    let built = Built { name: tagged(name, &digest), archive, bytes };
    note(&format!("{} ({:.1} MB)", built.name, megabytes(bytes)));
    Ok(built)
}

fn tagged(name: &str, digest: &str) -> String {
    const TAG_LENGTH: usize = 12;
    format!("{REPOSITORY}/{name}:{}", digest.get(..TAG_LENGTH).unwrap_or(digest))
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Arch {
    /// The architecture of this machine, as far as an image can be built for it.
    pub(crate) fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    /// The name in images.
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The Rust target: the GNU one, because a static glibc resolves names in an empty root and its allocator and
    /// string functions are faster than musl's.
    fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The C compiler that links for the target, where it is not this machine's own.
    fn cross_linker(self) -> Option<&'static str> {
        match (self, std::env::consts::ARCH) {
            (Self::Amd64, "x86_64") | (Self::Arm64, "aarch64") => None,
            (Self::Amd64, _) => Some("x86_64-linux-gnu-gcc"),
            (Self::Arm64, _) => Some("aarch64-linux-gnu-gcc"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Context { root: dir.path().into(), cache: dir.path().into(), state: dir.path().into() };
        let program = dir.path().join("program");
        let build = |content: &str| {
            fs::write(&program, content).unwrap();
            build_archive(&ctx, "x", vec![("p".into(), program.clone())], &["/p"], Arch::Amd64).unwrap().name
        };
        let first = build("one");
        assert_eq!(first, build("one"));
        assert_ne!(first, build("two"));
        let tag = first.strip_prefix("securityv0.local/x:").unwrap();
        assert!(tag.len() == 12 && tag.chars().all(|c| c.is_ascii_hexdigit()), "{tag}");
    }
}

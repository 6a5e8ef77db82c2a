//! The commands in the documents work as they stand there: each is run in a shell, in the order of the text, against a
//! connected estate. What cannot be run here is named below, with what runs it instead.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sv0_e2e::estate::Tenant;
use sv0_e2e::program::Program;
use sv0_e2e::{Result, World, eventually};

/// In the order in which a newcomer reads them.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/install.md", "docs/operate.md"];

/// How commands begin that are not run, and why.
const LEFT: [(&str, &str); 12] = [
    ("cargo xtask ", "this test is part of the one, and builds on what the other does"),
    ("cargo build ", "the program is built by the test"),
    ("helm install ", "the test installation is made so, with a vendor besides"),
    ("helm uninstall ", "zz_uninstall.rs"),
    ("kubectl delete pvc ", "zz_uninstall.rs"),
    ("kubectl delete crd ", "zz_uninstall.rs"),
    ("kubectl sv0 onboard ", "needs an issuer that Microsoft reaches; the program's own tests run it"),
    ("sh entra/", "needs a Microsoft tenant; the program's own tests run it against a stand-in of az"),
    ("kubectl apply -f entra/", "what onboard writes"),
    ("scan --", "the tests of the scan record and replay"),
    ("read -rs ", "asks a person"),
    ("kubectl sv0 purge -n team-a --instance ", "takes the UID of something that is gone: purge.rs"),
];

/// Commands that are only tried: they would connect other tenants, and need files of secrets.
const TRIED: [&str; 1] = ["kubectl apply -n team-a -f config/samples/connectorinstance-"];

/// Files that a person has, by their names in the documents.
const FILES: [(&str, &str); 1] = [("findingexception.yaml", "config/samples/findingexception.yaml")];

/// The commands of a document: its fenced blocks for a shell, without comments, continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut inside = false;
    let mut command = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && (line == "```console" || line == "```sh");
            continue;
        }
        let line = line.split_once("  #").map_or(line, |(command, _)| command).trim();
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        command.push_str(part);
        if !goes_on {
            all.push(std::mem::take(&mut command));
        }
    }
    all
}

/// A folder to work in: the checkout's files that the documents name, and a `PATH` with kubectl and its plug-in alone.
struct Desk {
    dir: tempfile::TempDir,
    path: String,
    kubeconfig: PathBuf,
}

impl Desk {
    fn new(world: &World) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin)?;
        symlink(Program::build(&world.env)?.path(), bin.join("kubectl-sv0"))?;
        symlink(&world.env.kubectl, bin.join("kubectl"))?;
        symlink(world.env.root.join("config"), dir.path().join("config"))?;
        for name in ["tls.crt", "tls.key"] {
            std::fs::write(dir.path().join(name), "none")?;
        }
        for (name, source) in FILES {
            let text = std::fs::read_to_string(world.env.root.join(source))?;
            std::fs::write(dir.path().join(name), text.replace("team-a", world.ns))?;
        }
        Ok(Self { path: format!("{}:/usr/bin:/bin", bin.display()), dir, kubeconfig: world.env.kubeconfig.clone() })
    }

    fn run(&self, command: &str) -> Result<String> {
        let mut shell = Command::new("bash");
        shell.args(["-euc", command]).current_dir(self.dir.path()).env("PATH", &self.path);
        let output = shell.env("KUBECONFIG", &self.kubeconfig).output()?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(said(&output.stdout) + &said(&output.stderr));
        }
        Err(format!("{command}\n{}{}", said(&output.stdout), said(&output.stderr)).into())
    }
}

/// The demonstration's tenant under the instance's name in the documents.
fn connected() -> Result<World> {
    let world = World::clean()?;
    let yaml = std::fs::read_to_string(world.env.root.join("e2e/estate/estates/demo.yaml"))?;
    let tenant = Tenant::load(&yaml, world.ns)?;
    world.vendor.set_estate(&tenant.document.to_string())?;
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["metadata"]["name"] = json!("entra");
    instance["spec"]["entra"]["tenantId"] = json!(tenant.id);
    instance["spec"]["entra"]["clientId"] = json!(tenant.client);
    world.kubectl.apply(&instance.to_string())?;
    eventually("the first findings", sv0_e2e::world::PATIENCE, || {
        let estate = world.kubectl.find(world.ns, "estates.securityv0.com", "default")?.unwrap_or_default();
        let evaluated = estate["status"]["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty());
        if evaluated { Ok(()) } else { Err(estate["status"].to_string().into()) }
    })?;
    Ok(world)
}

#[test]
fn every_command_of_the_documents_works() -> Result<()> {
    let world = connected()?;
    let desk = Desk::new(&world)?;
    let findings = world.versions()?;
    let (name, _) = findings.first().ok_or("no finding")?;
    let (mut used, mut ran) = ([false; LEFT.len()], 0);
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(world.env.root.join(document))?;
        for command in commands(&text) {
            if let Some(at) = LEFT.iter().position(|(begins, _)| command.starts_with(begins)) {
                used[at] = true;
                continue;
            }
            let tried = TRIED.iter().any(|begins| command.starts_with(begins));
            let words = [
                ("team-a", world.ns),
                ("TENANT-ID", sv0_e2e::estate::TENANT),
                ("INSTANCE", "entra"),
                ("FINDING", name),
                (" NAME ", &format!(" {name} ")),
            ];
            let mut command = words.iter().fold(command, |command, (word, value)| command.replace(word, value));
            if tried {
                command.push_str(" --dry-run=server");
            }
            let output = desk.run(&command).map_err(|error| format!("{document}: {error}"))?;
            // What is applied or written says so elsewhere; everything else prints.
            assert!(!output.trim().is_empty() || command.contains(" -o "), "{document}: {command} prints nothing");
            ran += 1;
        }
    }
    let unused: Vec<_> = LEFT.iter().zip(used).filter(|(_, used)| !used).map(|((begins, _), _)| begins).collect();
    assert!(unused.is_empty(), "no document has these any more: {unused:?}");
    assert!(ran > 20, "only {ran} commands were run");
    clean_up(&world)
}

/// What the commands leave that no other test expects.
fn clean_up(world: &World) -> Result<()> {
    let made = ["rolebinding/accept-risks", "secret/sv0-entra-certificate"];
    let delete = [&["delete", "-n", world.ns, "--ignore-not-found"][..], &made].concat();
    world.kubectl.run(&delete).map(drop)
}

#[test]
fn commands_are_found_as_a_reader_finds_them() {
    let text = "a\n```console\none --x   # why\ntwo \\\n  --y\n\n# no command\n```\n```yaml\nno: command\n```\n```sh\nthree\n```\n";
    assert_eq!(commands(text), ["one --x", "two --y", "three"]);
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(DOCUMENTS[0]).exists());
}

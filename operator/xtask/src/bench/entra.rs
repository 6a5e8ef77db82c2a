//! `cargo xtask bench entra`: what one scan of a very large tenant costs, against the simulated vendor with its real
//! limits, in two processes of their own on this machine. No cluster is needed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Figure, GENERATED_SECRET};
use crate::context::{Context, Stages, note};
use crate::sh::Sh;

const BENCH: &str = "entra";
/// Requests and memory for the full size, by the design.
const GOAL_REQUESTS: f64 = 2_200.0;
const GOAL_MIB: f64 = 512.0;
const FULL: usize = 100_000;
/// How long the vendor may take to make its tenant.
const START: Duration = Duration::from_mins(5);
/// Bounds of an instance of this size; the design's own for everything else.
const DEADLINE_SECONDS: u64 = 3_600;

/// What this benchmark takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Numbers of applications; each is one scan.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    apps: Vec<usize>,
    /// Seed of the generated tenants.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// One JSON object per figure instead of the table.
    #[arg(long)]
    pub(super) json: bool,
}

/// Measures every size.
pub(super) fn measure(ctx: &Context, options: &Options) -> Result<Vec<Figure>> {
    let mut stages = Stages::default();
    stages.run("programs", || Ok((build(ctx)?, String::new())))?;
    let mut figures = Vec::new();
    let mut sizes: Vec<(usize, Scan)> = Vec::new();
    for apps in &options.apps {
        let name = format!("{apps} applications");
        let scan = stages.run(&name, || Ok((scan(ctx, *apps, options.seed)?, String::new())))?;
        figures.extend(scan.figures(*apps));
        sizes.push((*apps, scan));
    }
    if let (Some((small, first)), Some((large, last))) = (sizes.first(), sizes.last())
        && large > small
    {
        figures.extend(growth((*small, first), (*large, last)));
    }
    stages.print();
    Ok(figures)
}

fn build(ctx: &Context) -> Result<()> {
    let args = ["build", "--release", "--quiet", "-p", "sv0-estate", "-p", "sv0-scan", "--bins", "--examples"];
    Sh::new("cargo").args(args).dir(&ctx.root).run()
}

/// What one scan came to.
#[derive(Debug)]
struct Scan {
    seconds: f64,
    peak_mib: f64,
    snapshot_mb: f64,
    /// As the scan counts them: an envelope is one; repeated and token requests included.
    requests: f64,
    items: f64,
    /// Requests that asking for each object alone would take.
    walk: f64,
}

impl Scan {
    fn figures(&self, apps: usize) -> Vec<Figure> {
        let full = apps == FULL;
        let figure = |name: &str, value: f64, unit: &'static str, goal: Option<f64>| {
            Figure::new(BENCH, &format!("{apps} applications: {name}"), value, unit, goal.filter(|_| full))
        };
        vec![
            figure("requests", self.requests, "", Some(GOAL_REQUESTS)),
            figure("requests of a walk object by object", self.walk, "", None),
            figure("time", self.seconds, "s", None),
            figure("peak RSS of the scan", self.peak_mib, "MiB", Some(GOAL_MIB)),
            figure("snapshot", self.snapshot_mb, "MB", None),
            figure("rows read", self.items, "", None),
        ]
    }
}

/// How cost grows with size: 1 is in proportion, less is better.
fn growth((small, first): (usize, &Scan), (large, last): (usize, &Scan)) -> Vec<Figure> {
    let exponent = |from: f64, to: f64| (to / from).ln() / (number(large) / number(small)).ln();
    [
        ("requests", exponent(first.requests, last.requests)),
        ("time", exponent(first.seconds, last.seconds)),
        ("peak RSS", exponent(first.peak_mib, last.peak_mib)),
        ("snapshot", exponent(first.snapshot_mb, last.snapshot_mb)),
    ]
    .map(|(name, value)| {
        Figure::new(BENCH, &format!("growth exponent of {name}, {small} to {large} applications"), value, "", None)
    })
    .into()
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with two decimals")]
fn number(value: usize) -> f64 {
    value as f64
}

/// The vendor's process; ended when dropped.
struct Vendor {
    child: Child,
    admin: SocketAddr,
    address: SocketAddr,
}

impl Vendor {
    fn start(ctx: &Context, apps: usize, seed: u64, dir: &Path) -> Result<Self> {
        let mut child = Command::new(ctx.root.join("target/release/estate"))
            .args(["serve", "--generated", &format!("apps={apps},seed={seed}")])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ca-out"])
            .arg(dir)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the simulated vendor")?;
        let Some(log) = child.stderr.take() else { bail!("the vendor's log cannot be read") };
        let mut log = BufReader::new(log);
        let started = Instant::now();
        let mut line = String::new();
        while started.elapsed() < START {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                bail!("the simulated vendor ended: {}", child.wait()?);
            }
            let fields = serde_json::from_str::<Value>(&line).unwrap_or_default()["fields"].take();
            let address = |name: &str| fields[name].as_str().and_then(|text| text.parse().ok());
            if let (Some(address), Some(admin)) = (address("vendor"), address("admin")) {
                // It would stop at a pipe that nobody reads.
                thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return Ok(Self { child, admin, address });
            }
        }
        bail!("the simulated vendor did not start in time")
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(self.admin)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: estate\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).with_context(|| format!("the vendor's answer to {path} is not JSON"))
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        // It is ours; if it is gone already there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An outbound proxy that leads every name to the vendor, so that the scan uses the vendor's real host names.
fn proxy(to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || tunnel(client, to));
        }
    });
    Ok(address)
}

/// One connection. A side that leaves early ends it, which the client sees for itself.
fn tunnel(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut server = TcpStream::connect(to)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let done = std::io::copy(&mut from_client, &mut to_server);
        drop(to_server.shutdown(std::net::Shutdown::Write));
        done
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Write)
}

fn scan(ctx: &Context, apps: usize, seed: u64) -> Result<Scan> {
    let dir = ctx.state.with_extension("bench-entra");
    let (credential, out) = (dir.join("credential"), dir.join("snapshot"));
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&credential)?;
    std::fs::create_dir_all(&out)?;
    let vendor = Vendor::start(ctx, apps, seed, &dir)?;
    let tenant = vendor.get("/tenant")?;
    std::fs::write(credential.join("target"), text(&tenant, "tenantId")?)?;
    std::fs::write(credential.join("clientSecret"), GENERATED_SECRET)?;
    let order = dir.join("order.json");
    let ca = std::fs::read_to_string(dir.join("ca.crt"))?;
    std::fs::write(&order, order_of(&tenant, &ca, proxy(vendor.address)?)?.to_string())?;
    let program = ctx.root.join("target/release/examples/scale");
    let args = [("--order", &order), ("--credential", &credential), ("--out", &out)];
    let printed =
        Sh::new(program).args(args.iter().flat_map(|(flag, path)| [flag.as_ref(), path.as_os_str()])).read()?;
    let result: Value = serde_json::from_str(printed.trim()).context("the scan's result is not JSON")?;
    let report = &result["report"];
    note(&format!("{apps} applications: {} {}", report["outcome"], report["gaps"]));
    if report["outcome"] != "Complete" {
        bail!("the scan was not complete, so its figures say nothing: {report}");
    }
    let snapshot_mb = megabytes(&out)?;
    std::fs::remove_dir_all(&dir)?;
    Ok(Scan {
        seconds: decimal(&result["seconds"])?,
        peak_mib: decimal(&result["peakKib"])? / 1024.0,
        snapshot_mb,
        requests: decimal(&report["requests"])?,
        items: decimal(&report["items"])?,
        walk: walk(&tenant)?,
    })
}

/// Size of all files of a folder.
fn megabytes(folder: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(number(usize::try_from(bytes)?) / 1e6)
}

/// What a tool asks that lists both kinds of objects and then walks over them: owners and federated credentials of each
/// application, owners and grants of each service principal.
fn walk(tenant: &Value) -> Result<f64> {
    let (apps, principals) =
        (decimal(&tenant["counts"]["applications"])?, decimal(&tenant["counts"]["servicePrincipals"])?);
    Ok((apps / 99.0).ceil() + (principals / 999.0).ceil() + 2.0 * apps + 2.0 * principals)
}

fn decimal(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("not a number: {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("the vendor does not tell {key}"))
}

fn order_of(tenant: &Value, ca: &str, proxy: SocketAddr) -> Result<Value> {
    Ok(json!({
        "namespace": "bench", "instance": "entra", "instanceUid": "00000000-0000-4000-8000-000000000001",
        "scanId": "00001767225600000-0a1b2c3d",
        "source": {
            "system": "entra", "tenantId": text(tenant, "tenantId")?, "clientId": text(tenant, "clientId")?,
            "cloud": "Public",
        },
        "auth": "clientSecret", "acceptedCollectionRevision": 2, "deadlineSeconds": DEADLINE_SECONDS,
        "limits": {"maxRequests": 20_000, "maxResponseBytes": 33_554_432, "maxPages": 5_000, "concurrency": 4},
        "network": {"trustedCaPem": ca, "privateHosts": [], "proxy": format!("http://{proxy}")},
        "store": {"url": "https://nowhere.invalid", "caPem": ""},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(scale: f64) -> Scan {
        Scan {
            seconds: scale,
            peak_mib: scale.sqrt(),
            snapshot_mb: scale,
            requests: scale * 2.0,
            items: 1.0,
            walk: 1.0,
        }
    }

    #[test]
    fn growth_in_proportion_has_the_exponent_one() {
        let figures = growth((1_000, &scan(1.0)), (100_000, &scan(100.0)));
        let text: Vec<String> = figures.iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        assert!(text[0].contains("\"value\":1.0"), "{}", text[0]);
        assert!(text[2].contains("\"value\":0.5"), "{}", text[2]);
    }

    #[test]
    fn a_walk_asks_twice_for_each_object() {
        let tenant = json!({"counts": {"applications": 100, "servicePrincipals": 200}});
        assert!((walk(&tenant).unwrap() - 603.0).abs() < f64::EPSILON);
        assert!(walk(&json!({})).is_err());
    }
}

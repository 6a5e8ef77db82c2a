//! `kubectl sv0 graph`: the path of one Finding as a picture.
//!
//! Takes the Finding; gives SVG, a page of HTML around it, or DOT for Graphviz. The files stand alone: no script, nothing
//! that is loaded from elsewhere. Names from a source system are escaped, and shortened only where the whole name stands in
//! the element's title. May not: change anything.

pub mod svg;

use anyhow::{Result, bail};
use sv0_api::Finding;

use crate::explain::{finding_name, missing};
use crate::findings::table::{name, severity};
use crate::kubectl::Cluster;
use crate::route::{self, Step};
use crate::term::add;
use crate::values::{Namespace, ObjectName};

use self::svg::escaped;

/// What `graph` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 graph cred-001-6afc43affc2a45e4 -n team-a -o html > path.html
  kubectl sv0 graph cred-001-6afc43affc2a45e4 -n team-a -o dot | dot -Tpng > path.png

The picture shows the path of the Finding and nothing else of the estate. The exit code is 1 when there is no such
Finding.")]
pub struct Args {
    /// Name of the Finding, also as `findings -o name` prints it.
    #[arg(value_name = "FINDING", value_parser = finding_name)]
    finding: ObjectName,
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    /// What to draw.
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    cluster: Cluster,
}

/// What to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A picture.
    #[default]
    Svg,
    /// The picture in a page, with the hops as a table below it.
    Html,
    /// The graph for Graphviz.
    Dot,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let namespace = match &args.namespace {
        Some(namespace) => namespace.to_string(),
        None => args.cluster.default_namespace()?,
    };
    let Some(finding) = args.cluster.finding(&namespace, &args.finding)? else {
        bail!("{}", missing(&args.finding, &namespace));
    };
    crate::say!("{}", drawn(&finding, args.output));
    Ok(())
}

/// The picture of a Finding's path.
pub fn drawn(finding: &Finding, output: Output) -> String {
    let steps = route::steps(&finding.spec.path);
    match output {
        Output::Svg => svg::svg(&finding.spec.title, &steps),
        Output::Html => html(finding, &steps),
        Output::Dot => dot(finding, &steps),
    }
}

fn html(finding: &Finding, steps: &[Step<'_>]) -> String {
    let spec = &finding.spec;
    let title = escaped(&spec.title);
    let rows: String = steps.iter().enumerate().map(|(at, step)| row(at, step)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{rule}: {title}</title>\n<style>\n{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>{severity} &middot; {rule} &middot; {name} &middot; first observed {since}</p>\n\
         <div class=\"picture\">\n{svg}</div>\n<h2>The hops</h2>\n<table>\n\
         <thead><tr><th scope=\"col\">Hop</th><th scope=\"col\">From</th><th scope=\"col\">How</th>\
         <th scope=\"col\">To</th><th scope=\"col\">Evidence</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         </main>\n</body>\n</html>\n",
        rule = escaped(&spec.rule.id),
        severity = severity(spec.severity),
        name = escaped(&name(finding)),
        since = escaped(&spec.first_observed.0.to_string()),
        svg = svg::svg(&spec.title, steps),
    )
}

fn row(at: usize, step: &Step<'_>) -> String {
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        at + 1,
        escaped(step.from),
        escaped(&route::step_words(step)),
        escaped(step.to),
        route::class_word(step.class)
    )
}

/// Readable in light and dark, and on paper.
const PAGE_STYLE: &str = ":root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #8c959f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #6e7681; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 75rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
.picture { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
";

/// A string of DOT, whatever is in it.
fn quoted(text: &str) -> String {
    let text = sv0_rules::harmless(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

fn dot(finding: &Finding, steps: &[Step<'_>]) -> String {
    let mut text = format!(
        "digraph finding {{\n  label={};\n  rankdir=LR;\n  node [shape=box];\n",
        quoted(&format!("{}: {}", finding.spec.rule.id, finding.spec.title))
    );
    for step in steps {
        let label = format!("{} [{}]", route::step_words(step), route::class_word(step.class));
        add(&mut text, &format!("  {} -> {} [label={}];\n", quoted(step.from), quoted(step.to), quoted(&label)));
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_sees_one_string() {
        assert_eq!(quoted("a\"; evil -> b //\\\n\u{1b}[2J"), r#""a\"; evil -> b //\\ [2J""#);
    }
}

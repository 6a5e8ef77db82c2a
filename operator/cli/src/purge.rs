//! `kubectl sv0 purge`: what the store still holds of instances and namespaces that are gone, and has it deleted before its
//! retention is over.
//!
//! Takes what the store tells; asks it for deletions that the user names. May not: decide what is gone. The store does, by
//! what the evaluations and the API server told it, and refuses the rest.

use anyhow::{Context as _, Result, bail};
use sv0_protocol::names::PURGE_ACCOUNT;
use sv0_protocol::store::{Departed, EstateState, PURGE_AUDIENCE};
use sv0_store::client::{ClientError, StoreClient};

use crate::kubectl::Cluster;
use crate::store::{Place, reach, until_told};
use crate::term::add;
use crate::values::{Namespace, Uid, shown};

/// What `purge` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 purge                                       # what the store holds of what is gone
  kubectl sv0 purge -n team-a --yes                       # delete all of it that belonged to team-a
  kubectl sv0 purge -n team-a --instance 6f9619ff-8b86-d011-b42d-00cf4fc964ff --yes
  kubectl sv0 purge -n team-a --estate 6f9619ff-8b86-d011-b42d-00cf4fc964ff --yes    # whose namespace is still there

Nobody has to run it: what is gone is deleted after spec.retention.orphanedDays of its Estate, 30 days without one. What is
there is never deleted: the store takes an instance for gone when the last evaluation of its estate did not find it in the
cluster, and a namespace when the API server says so. An estate that was taken out of the chart's values while its namespace
stays is shown once nothing was written for it for that long and a week at least, and goes by this command alone, with
--estate.
Evidence packs of an instance that is gone cannot be exported any more: export first what you want to keep.
Needs the role securityv0-purge in the operator's namespace (chart value store.purgers).")]
pub struct Args {
    /// Only what belongs or belonged to this namespace.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    /// Only this instance, by its UID.
    #[arg(long, value_name = "UID", requires = "namespace")]
    instance: Option<Uid>,
    /// Only this estate, by the UID of its namespace. Needed for one whose namespace is still there.
    #[arg(long, value_name = "UID", requires = "namespace", conflicts_with = "instance")]
    estate: Option<Uid>,
    /// Delete it. Without this nothing is changed.
    #[arg(long, requires = "namespace")]
    yes: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    cluster: Cluster,
}

/// Something that can be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    namespace: String,
    namespace_uid: String,
    /// One instance; the whole estate without.
    instance: Option<String>,
    state: EstateState,
    seconds: u64,
    orphaned_days: u32,
    asked: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    until_told(work(&args)).await
}

async fn work(args: &Args) -> Result<()> {
    let rights = format!(
        "what is gone is deleted with the role securityv0-purge in {} (chart value store.purgers)",
        args.place.operator_namespace
    );
    let (client, _forward) = reach(&args.cluster, &args.place, PURGE_ACCOUNT, PURGE_AUDIENCE, rights).await?;
    let mut departed = client.departed().await?;
    departed.retain(|one| args.estate.as_ref().is_none_or(|uid| uid.as_str() == one.namespace_uid));
    let targets = targets(&departed, args.namespace.as_ref(), args.instance.as_ref());
    if targets.is_empty() {
        if let Some(uid) = &args.instance {
            bail!(
                "the store knows no instance {uid} that is gone: either it is there, or no evaluation has noticed yet, or \
                 nothing is stored of it"
            );
        }
        crate::say_line!("The store holds nothing of what is gone.");
        return Ok(());
    }
    crate::say!("{}", table(&targets));
    if !args.yes {
        crate::say_line!("Nothing was changed. To delete it now, name the namespace with -n and add --yes.");
        return Ok(());
    }
    for target in &targets {
        named(target, args.estate.as_ref())?;
    }
    for target in &targets {
        ask(&client, target).await?;
    }
    crate::say_line!("The store deletes it: snapshots leave its lists at once, and its storage within three hours.");
    Ok(())
}

/// A whole estate whose namespace is still there goes by its own name only: whoever purges an instance that was removed does
/// not mean it.
fn named(target: &Target, estate: Option<&Uid>) -> Result<()> {
    let living = target.instance.is_none() && target.state == EstateState::Silent;
    if living && estate.is_none_or(|uid| uid.as_str() != target.namespace_uid) {
        bail!(
            "the namespace {} is still there, and nothing was deleted: to delete all that is stored of it, add --estate {}",
            shown(&target.namespace),
            shown(&target.namespace_uid)
        );
    }
    Ok(())
}

async fn ask(client: &StoreClient, target: &Target) -> Result<()> {
    match client.purge(&target.namespace_uid, target.instance.as_deref()).await {
        Err(ClientError::Conflict) => bail!("the store does not take it for gone any more: {}", line(target)),
        // It went by itself meanwhile.
        Err(ClientError::Missing) => Ok(()),
        other => other.with_context(|| format!("it was not asked for: {}", line(target))),
    }
}

/// What of `all` is meant. Of an estate that is gone as a whole, its instances are no targets of their own, unless one is
/// named.
fn targets(all: &[Departed], namespace: Option<&Namespace>, instance: Option<&Uid>) -> Vec<Target> {
    let mut targets = Vec::new();
    for estate in all.iter().filter(|one| namespace.is_none_or(|name| name.as_str() == one.namespace)) {
        let whole = Target {
            namespace: estate.namespace.clone(),
            namespace_uid: estate.namespace_uid.clone(),
            instance: None,
            state: estate.state,
            seconds: estate.seconds,
            orphaned_days: estate.orphaned_days,
            asked: estate.asked,
        };
        if estate.state != EstateState::There && instance.is_none() {
            targets.push(whole);
            continue;
        }
        let named = estate.instances.iter().filter(|one| instance.is_none_or(|uid| uid.as_str() == one.uid));
        targets.extend(named.map(|one| Target {
            instance: Some(one.uid.clone()),
            seconds: one.seconds,
            asked: one.asked,
            state: EstateState::Gone,
            ..whole.clone()
        }));
    }
    targets
}

fn table(targets: &[Target]) -> String {
    let mut text = String::from("Held by the store:\n");
    for target in targets {
        add(&mut text, &format!("  {}\n", line(target)));
    }
    text
}

fn line(target: &Target) -> String {
    let namespace = shown(&target.namespace);
    let what = match &target.instance {
        Some(uid) => format!("instance {} of {namespace}", shown(uid)),
        None => format!("all of namespace {namespace} with the UID {}", shown(&target.namespace_uid)),
    };
    let days = target.orphaned_days;
    let how = match (target.asked, target.state) {
        (true, _) => "is being deleted".to_owned(),
        (false, EstateState::Silent) => {
            format!("the namespace is there, but nothing was written for it for {days} days; kept until it is purged")
        }
        (false, EstateState::Gone | EstateState::There) => {
            format!("known to be gone for {} of {days} days", target.seconds / 86_400)
        }
    };
    format!("{what}: {how}")
}

#[cfg(test)]
mod tests {
    use sv0_protocol::store::DepartedInstance;

    use super::*;

    fn estate(namespace: &str, state: EstateState, instances: &[&str]) -> Departed {
        let instance = |uid: &&str| DepartedInstance { uid: (*uid).to_owned(), seconds: 3 * 86_400, asked: false };
        Departed {
            namespace: namespace.to_owned(),
            namespace_uid: format!("{namespace}-uid"),
            state,
            orphaned_days: 30,
            seconds: 86_400,
            asked: false,
            instances: instances.iter().map(instance).collect(),
        }
    }

    #[test]
    fn what_is_meant_is_the_estate_or_its_instances() {
        let one = "00000000-0000-4000-8000-000000000001";
        let all = [
            estate("a", EstateState::There, &[one, "two"]),
            estate("b", EstateState::Gone, &["three"]),
            estate("c", EstateState::Silent, &[]),
        ];
        let of = |namespace: Option<&str>, instance: Option<&str>| -> Vec<(String, Option<String>)> {
            let namespace = namespace.map(|name| name.parse().unwrap());
            let instance = instance.map(|uid| uid.parse().unwrap());
            let targets = targets(&all, namespace.as_ref(), instance.as_ref());
            targets.into_iter().map(|target| (target.namespace_uid, target.instance)).collect()
        };
        let (a, whole) = ("a-uid".to_owned(), |name: &str| (format!("{name}-uid"), None));
        let (first, second) = ((a.clone(), Some(one.to_owned())), (a, Some("two".to_owned())));
        assert_eq!(of(None, None), [first.clone(), second.clone(), whole("b"), whole("c")]);
        assert_eq!(of(Some("a"), None), [first.clone(), second]);
        assert_eq!(of(Some("a"), Some(one)), [first]);
        assert_eq!(of(Some("b"), Some(one)), []);
        assert_eq!(of(Some("b"), None), [whole("b")]);
        assert_eq!(of(Some("d"), None), []);
    }

    /// A whole estate whose namespace is there is deleted by its own name only; nothing else needs one.
    #[test]
    fn a_namespace_that_is_there_goes_by_its_own_name_only() {
        let uid = "00000000-0000-4000-8000-000000000009";
        let silent = Departed { namespace_uid: uid.to_owned(), ..estate("c", EstateState::Silent, &["u"]) };
        let [whole] = &targets(&[silent], None, None)[..] else { panic!("one target") };
        let refused = named(whole, None).unwrap_err().to_string();
        assert!(refused.contains(&format!("--estate {uid}")), "{refused}");
        assert!(named(whole, Some(&"00000000-0000-4000-8000-000000000008".parse().unwrap())).is_err());
        named(whole, Some(&uid.parse().unwrap())).unwrap();
        for other in [estate("a", EstateState::There, &["u"]), estate("b", EstateState::Gone, &[])] {
            for target in targets(&[other], None, None) {
                named(&target, None).unwrap();
            }
        }
    }

    #[test]
    fn each_line_says_what_and_for_how_long() {
        let all = [estate("a", EstateState::There, &["u"]), estate("b", EstateState::Silent, &[])];
        assert_eq!(
            table(&targets(&all, None, None)),
            "Held by the store:
  instance u of a: known to be gone for 3 of 30 days
  all of namespace b with the UID b-uid: the namespace is there, but nothing was written for it for 30 days; kept until it is purged
"
        );
        let asked = Departed { asked: true, ..estate("b\u{1b}[2J", EstateState::Gone, &[]) };
        let said = table(&targets(&[asked], None, None));
        assert!(said.contains("is being deleted") && !said.contains('\u{1b}'), "{said}");
    }
}

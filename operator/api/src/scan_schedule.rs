//! `ScanSchedule`: when the instances of a namespace are scanned. Grammar is checked here and by the API server; whether
//! a zone exists and a date can occur is the manager's to say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// When to scan which `ConnectorInstances` of the namespace.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "securityv0.com",
    version = "v1alpha1",
    kind = "ScanSchedule",
    plural = "scanschedules",
    shortname = "ss",
    category = "securityv0",
    doc = "When the ConnectorInstances of this namespace are scanned.",
    namespaced,
    status = "ScanScheduleStatus",
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "securityv0"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Instances", type_ = "integer", json_path = ".status.matchedInstances"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextTick"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ScanScheduleSpec {
    /// Five cron fields separated by single spaces: minute, hour, day of month, month, day of week. Values, ranges,
    /// lists, steps over `*` or a range, and English three-letter names of months and weekdays.
    #[x_kube(validation = Rule::new(cron_rule())
        .message("spec.schedule needs five cron fields separated by single spaces: minute (0-59) hour (0-23) day-of-month (1-31) month (1-12 or JAN-DEC) day-of-week (0-7 or SUN-SAT), for example \"0 */6 * * *\""))]
    #[schemars(length(max = 256))]
    pub schedule: String,

    /// IANA time zone in which the fields are read.
    #[x_kube(validation = Rule::new("self == 'UTC' || self == 'GMT' || self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){1,2}$')")
        .message("spec.timeZone must be an IANA zone name such as Etc/UTC or Europe/Amsterdam"))]
    #[serde(default = "default_zone")]
    #[schemars(length(max = 128))]
    pub time_zone: String,

    /// Spreads the scans of one tick over this time, at most `1h`: a whole number and `s`, `m` or `h`. Each instance
    /// always gets the same offset.
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,4}s|[0-9]{1,2}m|[01]h)$') && duration(self) <= duration('1h')")
        .message("spec.jitter must be a whole number of seconds, minutes or hours of at most 1h, for example 90s or 5m"))]
    #[serde(default = "default_jitter")]
    #[schemars(length(max = 16))]
    pub jitter: String,

    /// Which `ConnectorInstances` of this namespace; empty means all.
    #[serde(default)]
    pub selector: LabelSelector,

    /// `true` stops ticks.
    #[serde(default)]
    pub suspend: bool,

    /// A tick that could not be acted on for this many seconds is skipped. Not set: the latest missed tick is made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 604_800))]
    pub starting_deadline_seconds: Option<i64>,
}

/// The grammar of `spec.schedule` as a CEL rule.
fn cron_rule() -> String {
    let fields = [
        "[0-5]?[0-9]",
        "[01]?[0-9]|2[0-3]",
        "0?[1-9]|[12][0-9]|3[01]",
        "0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
        "[0-7]|sun|mon|tue|wed|thu|fri|sat",
    ];
    let step = "(/[1-9][0-9]?)?";
    let lists = fields.map(|value| {
        // In CEL's quotes a backslash is written twice.
        let item = format!(r"(\\*{step}|({value})(-({value}){step})?)");
        format!("{item}(,{item})*")
    });
    format!("self.matches('(?i)^{}$')", lists.join(" "))
}

fn default_zone() -> String {
    "Etc/UTC".to_owned()
}

fn default_jitter() -> String {
    "0s".to_owned()
}

impl ScanScheduleSpec {
    /// `jitter` in seconds; `None` when it is not written as the schema demands.
    pub fn jitter_seconds(&self) -> Option<i64> {
        let unit = self.jitter.chars().last()?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        let digits = self.jitter.strip_suffix(unit)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<i64>().ok()?.checked_mul(factor)?;
        (seconds <= 3600).then_some(seconds)
    }
}

/// What the manager knows about the schedule.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScanScheduleStatus {
    /// `Ready`, or `Stalled` with reason `InvalidSchedule`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last tick that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tick: Option<Time>,
    /// The next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_tick: Option<Time>,
    /// `ConnectorInstances` that the selector matches.
    #[serde(default)]
    pub matched_instances: i32,
}

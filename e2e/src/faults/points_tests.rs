//! Which events are marks, and what a plan holds.

use super::*;

fn event(user: &str, verb: &str, resource: &str, namespace: &str, code: u16) -> Event {
    Event {
        at: "2026-05-05T10:00:00Z".parse().unwrap(),
        user: user.to_owned(),
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: "x".to_owned(),
        code,
    }
}

fn ours(account: &str) -> String {
    format!("system:serviceaccount:{SYSTEM}:{account}")
}

fn story() -> Vec<Event> {
    let (manager, store, evaluate) = (ours("securityv0-manager"), ours("securityv0-store"), ours("evaluate-a"));
    vec![
        event(&manager, "update", "leases", SYSTEM, 200),
        event(&manager, "patch", "connectorinstances/status", "a", 200),
        event(&manager, "patch", "connectorinstances/status", "a", 409),
        event(&manager, "patch", "connectorinstances/status", "other", 200),
        event(&manager, "create", "jobs", "a", 201),
        event("system:node:one", "create", "serviceaccounts/token", "a", 201),
        event(&store, "create", "tokenreviews", "", 201),
        event(&manager, "patch", "connectorinstances/status", "a", 200),
        event(&manager, "delete", "jobs", "a", 200),
        event(&manager, "create", "jobs", SYSTEM, 201),
        event(&store, "create", "tokenreviews", "", 201),
        event(&evaluate, "create", "findings", "a", 201),
        event(&evaluate, "create", "findings", "a", 201),
        event(&ours("evaluate-b"), "create", "findings", "b", 201),
        event("admin", "delete", "findings", "a", 200),
    ]
}

fn labels(program: Program) -> Vec<String> {
    let mut marker = Marker::new(program, "a");
    story().iter().filter_map(|e| marker.observe(e)).map(|mark| mark.label).collect()
}

#[test]
fn each_program_has_its_own_marks() {
    assert_eq!(
        labels(Program::Manager),
        [
            "patch connectorinstances/status #1",
            "create Job of scan #1",
            "patch connectorinstances/status #2",
            "delete Job of scan #1",
            "create Job of evaluate #1",
        ]
    );
    assert_eq!(
        labels(Program::Scan),
        ["create Job of scan #1", "token for the pod #1", "review of a token of scan #1"]
    );
    assert_eq!(
        labels(Program::Evaluate),
        ["create Job of evaluate #1", "review of a token of evaluate #1", "create findings #1", "create findings #2"]
    );
    assert_eq!(
        labels(Program::Store),
        [
            "create Job of scan #1",
            "review of a token of scan #1",
            "create Job of evaluate #1",
            "review of a token of evaluate #1",
        ]
    );
}

fn phases() -> Vec<Vec<Mark>> {
    let mark = |label: &str, second: i64| Mark {
        label: label.to_owned(),
        at: Timestamp::from_second(1_780_000_000 + second).unwrap(),
    };
    vec![vec![mark("a #1", 0), mark("b #1", 2)], vec![mark("a #1", 10), mark("b #1", 12), mark("b #2", 13)]]
}

#[test]
fn a_seed_decides_the_plan() {
    let plan_of = |seed| plan(seed, Program::Manager, &phases(), 6);
    assert_eq!(plan_of(7), plan_of(7));
    assert_ne!(plan_of(7), plan_of(8));
    assert_ne!(plan_of(7), plan(7, Program::Evaluate, &phases(), 6));
}

#[test]
fn a_plan_has_as_many_points_as_wanted_on_both_sides_of_writes() {
    for count in [1, 4, 5, 9, 20] {
        let points = plan(3, Program::Manager, &phases(), count);
        assert_eq!(points.len(), count);
        assert!(points.iter().enumerate().all(|(at, point)| point.number == at));
    }
    let many = plan(3, Program::Manager, &phases(), 20);
    assert!(many.iter().any(|p| p.delay.is_zero()) && many.iter().any(|p| !p.delay.is_zero()));
    assert!(many.iter().all(|p| p.delay < Duration::from_secs(2)), "before the next mark");
    let some: Vec<Point> = (0..20).flat_map(|seed| plan(seed, Program::Manager, &phases(), 3)).collect();
    assert!(some.iter().any(|p| !p.delay.is_zero()), "few points may lie before a write too");
}

#[test]
fn nothing_to_mark_gives_no_point() {
    assert!(plan(3, Program::Scan, &[Vec::new()], 5).is_empty());
}

#[test]
fn a_run_takes_one_point_of_each_phase_and_none_is_lost() {
    let points = plan(3, Program::Manager, &phases(), 11);
    let runs = batches(points.clone());
    for run in &runs {
        let mut taken: Vec<usize> = run.iter().map(|p| p.phase).collect();
        taken.dedup();
        assert_eq!(taken.len(), run.len());
    }
    assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), points.len());
}

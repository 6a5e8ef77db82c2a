//! An estate in which a source system gave every name the worst that it can.

use serde_json::Value;

/// Markup that runs, in every place where markup can begin; control and bidirectional characters; formulas; a link; length.
pub(crate) const NAMES: [&str; 9] = [
    "<script>window.executed = 1; alert(1)</script>",
    "\"><img src=x onerror=\"window.executed = 1\">",
    "</title></style></svg><iframe src=\"https://evil.example/\"></iframe>",
    "' onmouseover='window.executed=1' x='",
    "=cmd|' /C calc'!A0",
    "payroll\u{202E}gnp.exe\u{0000}\u{001B}[2J\r\n\tlast",
    "javascript:alert(1)//{{7*7}}${7*7}&lt;b&gt;&#60;",
    "x;=cmd|' /C calc'!A0;[approve](https://evil.example/){0}",
    "]]><!--<a href=\"https://evil.example/\">\u{200B}\u{FEFF}名前",
];

/// The estate with these names wherever a source system names something, one of them 10 kB long.
pub(crate) fn estate(list: &str) -> String {
    let mut list: Value = serde_json::from_str(list).unwrap();
    let mut next = 0;
    for item in list["items"].as_array_mut().unwrap() {
        if item["kind"] != "Finding" {
            continue;
        }
        let mut name = || {
            next += 1;
            let name = NAMES[next % NAMES.len()];
            if next % 11 == 0 { name.repeat(10_000 / name.len()) } else { name.to_owned() }
        };
        let spec = &mut item["spec"];
        for pointer in ["/title", "/why", "/subject/name", "/subject/id", "/category"] {
            *spec.pointer_mut(pointer).unwrap() = name().into();
        }
        for hop in spec["path"].as_array_mut().unwrap() {
            for field in ["from", "to", "via", "edge"] {
                if hop.get(field).is_some() {
                    hop[field] = format!("service principal \"{}\"", name()).into();
                }
            }
        }
        for evidence in spec["evidence"].as_array_mut().unwrap() {
            evidence["claim"] = name().into();
            evidence["value"] = name().into();
            for field in ["api", "version", "field", "object", "connector"] {
                evidence["source"][field] = name().into();
            }
        }
        for party in spec["accountable"].get_mut("parties").and_then(Value::as_array_mut).into_iter().flatten() {
            party["name"] = name().into();
        }
        for step in spec["remediation"].as_array_mut().unwrap() {
            *step = name().into();
        }
    }
    for item in list["items"].as_array_mut().unwrap() {
        if item["kind"] == "FindingException" {
            item["spec"]["owner"] = NAMES[0].into();
            item["spec"]["reason"] = NAMES[1].into();
        }
        for gap in item.pointer_mut("/status/coverageGaps").and_then(Value::as_array_mut).into_iter().flatten() {
            gap["instance"] = NAMES[2].into();
            gap["collection"] = NAMES[3].into();
            gap["permission"] = NAMES[0].into();
        }
    }
    list.to_string()
}

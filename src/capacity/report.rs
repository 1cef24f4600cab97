//! A plan as text.

use std::fmt::Write;

use super::{ASSUMPTIONS, Node, Plan, Service};

/// The plan as a table, with what it takes for granted under it.
pub fn text_table(service: &Service, node: &Node, plan: &Plan) -> String {
    let cost = &plan.request;
    let share = |ms: f64| format!("{ms:.2} ms");
    let rows = [
        ("CPU of a request", share(cost.total())),
        ("  index search", share(cost.search)),
        ("  ranker", share(cost.ranker)),
        ("  features, other sources, filters, re-ranking", share(cost.rest)),
        ("  HTTP and JSON", share(cost.http)),
        ("  event log", share(cost.events)),
        ("requests/s of a node", format!("{:.0}", plan.node_qps)),
        ("memory of the catalogue, each node", bytes(plan.catalogue)),
        ("  vectors, mapped", bytes(plan.mapped)),
        ("memory of live sessions and profiles, all nodes", bytes(plan.state)),
        ("disk of profiles and sessions, all nodes", bytes(plan.disk)),
        ("nodes for CPU", nodes(plan.nodes_for_cpu.ceil())),
        ("nodes for memory", nodes(plan.nodes_for_memory.ceil())),
        ("nodes", nodes(plan.nodes())),
    ];
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = format!(
        "{} tracks, {} listeners ({} of them at once), {} requests/s, {} candidates\n{} cores, {} a node, {:.0} % busy, {} \
         bundle{} in memory\n\n",
        count(service.tracks),
        count(service.users),
        count(service.users * service.active),
        count(service.qps),
        count(service.candidates),
        node.cores,
        bytes(node.memory),
        node.busy * 100.0,
        node.bundles,
        if node.bundles == 1.0 { "" } else { "s" },
    );
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:width$}  {value:>12}");
    }
    out.push_str("\nassumed:\n");
    ASSUMPTIONS.iter().for_each(|line| {
        let _ = writeln!(out, "* {line}");
    });
    out
}

fn nodes(number: f64) -> String {
    match number.is_finite() {
        true => count(number.max(1.0)),
        false => "no number".into(),
    }
}

fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    rest.as_bytes().chunks(3).fold(first.to_owned(), |text, part| text + "," + &String::from_utf8_lossy(part))
}

fn bytes(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e12 => (n / 1e12, "TB"),
        n if n >= 1e9 => (n / 1e9, "GB"),
        n => (n / 1e6, "MB"),
    };
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::plan;

    #[test]
    fn a_catalogue_that_fills_a_node_is_told() {
        let service = Service { tracks: 1e9, users: 5e8, active: 0.01, qps: 5e4, candidates: 1e3 };
        let node = Node { cores: 32.0, memory: 64e9, busy: 0.6, bundles: 2.0 };
        let text = text_table(&service, &node, &plan(&service, &node));
        assert!(text.contains("1,000,000,000 tracks, 500,000,000 listeners (5,000,000 of them at once)"), "{text}");
        let last = text.lines().find(|line| line.starts_with("nodes  ")).unwrap();
        assert!(last.ends_with("no number"), "{text}");
        assert!(ASSUMPTIONS.iter().all(|line| text.contains(line)), "{text}");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        let grouped: Vec<String> = [0.0, 7.0, 999.0, 1_000.0, 123_456.0, 1e9].map(count).to_vec();
        assert_eq!(grouped, ["0", "7", "999", "1,000", "123,456", "1,000,000,000"]);
    }
}

//! The table: medians of ours and the floor, their ratio, and the ratio to reach.

use crate::{child::Kind, fan_out, idle};

/// One line of the table.
struct Line {
    name: String,
    target: &'static str,
    /// By [`Kind`].
    figures: [Vec<f64>; 2],
}

/// All figures so far.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn fan_out(&mut self, kind: Kind, load: &fan_out::Load, figures: &fan_out::Figures) {
        let clients = load.clients;
        let (name, target) = match (load.pace, clients) {
            (None, ..50) => (format!("saturated, K={clients}"), "1.7 x"),
            (None, _) => (format!("saturated, K={clients}"), "1.2 x"),
            (Some(pace), ..50) => (format!("paced {pace}/s, K={clients}"), "1.25 x"),
            (Some(pace), 50..500) => (format!("paced {pace}/s, K={clients}"), "1.15 x"),
            (Some(pace), _) => (format!("paced {pace}/s, K={clients}"), "1.1 x"),
        };
        self.add(kind, format!("{name}: CPU s per 1M deliveries"), target, figures.cpu_per_million);
        if load.pace.is_none() {
            let per_second = figures.thousand_per_second;
            self.add(kind, format!("{name}: thousand deliveries per s"), "", per_second);
            return;
        }
        for (percentile, target) in [(50, ""), (99, if clients < 500 { "1.5 x" } else { "1.2 x" })]
        {
            let at = figures.micros.len().saturating_sub(1) * percentile / 100;
            let ms = f64::from(figures.micros.get(at).copied().unwrap_or_default()) / 1000.0;
            self.add(kind, format!("{name}: p{percentile}, ms"), target, ms);
        }
    }

    pub(crate) fn idle(&mut self, kind: Kind, figures: &idle::Figures) {
        let connections = figures.connections;
        self.add(kind, format!("idle, {connections}: KB each"), "8 KB", figures.kb_each);
        self.add(kind, "connect: CPU ms each".into(), "0.10 ms", figures.connect_cpu_ms);
        self.add(kind, "process before: MB".into(), "", figures.process_kb / 1024.0);
    }

    fn add(&mut self, kind: Kind, name: String, target: &'static str, figure: f64) {
        let known = self.lines.iter().position(|line| line.name == name);
        let index = known.unwrap_or_else(|| {
            self.lines.push(Line { name, target, figures: Default::default() });
            self.lines.len() - 1
        });
        self.lines[index].figures[kind as usize].push(figure);
    }

    pub(crate) fn print(&mut self, rounds: usize) {
        println!("\nmedians of {rounds} rounds; every run checked itself\n");
        println!("{:<46} {:>9} {:>9} {:>7} {:>9}", "", "engine", "relay", "ratio", "target");
        for line in &mut self.lines {
            let [engine, relay] = line.figures.each_mut().map(|figures| median(figures));
            let ratio = engine / relay;
            let Line { name, target, .. } = line;
            println!("{name:<46} {engine:>9.3} {relay:>9.3} {ratio:>7.2} {target:>9}");
        }
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

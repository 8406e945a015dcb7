//! Prometheus' text form (its exposition format 0.0.4).

use std::fmt::Write as _;

use super::{
    counter::Labelled,
    histogram::{CLASSES, Histogram},
};

/// Writes metrics one after the other.
pub(super) struct Exposition<'a>(pub(super) &'a mut String);

impl Exposition<'_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.value(name, "gauge", help, value);
    }

    /// A gauge under the name that somebody else's tools look for.
    pub(super) fn alias(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "# TYPE {name} gauge\n{name} {value}");
    }

    pub(super) fn value(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "civicpress_realtime_{name} {value}");
    }

    pub(super) fn average(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "civicpress_realtime_{name} {value}");
    }

    pub(super) fn labelled(&mut self, name: &str, help: &str, label: &str, values: &Labelled) {
        self.labels(name, help, label, &values.all());
    }

    pub(super) fn labels(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&'static str, u64)],
    ) {
        self.head(name, "counter", help);
        for (key, value) in values {
            let _ = writeln!(self.0, "civicpress_realtime_{name}{{{label}=\"{key}\"}} {value}");
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "seconds of a sum, in 53 bits")]
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let counts = histogram.counts();
        let ends = CLASSES.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        let mut all = 0;
        for (end, count) in ends.zip(counts.of_classes) {
            all += count;
            let _ = writeln!(self.0, "civicpress_realtime_{name}_bucket{{le=\"{end}\"}} {all}");
        }
        let seconds = counts.micros as f64 / 1e6;
        let _ = writeln!(self.0, "civicpress_realtime_{name}_sum {seconds}");
        let _ = writeln!(self.0, "civicpress_realtime_{name}_count {all}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP civicpress_realtime_{name} {help}");
        let _ = writeln!(self.0, "# TYPE civicpress_realtime_{name} {kind}");
    }
}

//! The rows of the table and how they are judged and printed.

use super::step::Step;

/// What a ratio (our seconds over the peer's) must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    /// At most so many times the peer's time.
    AtMost(f64),
    /// So many times faster than the peer, or more.
    Faster(f64),
    /// Only told.
    None,
}

/// One comparison.
#[derive(Debug)]
pub(super) struct Row {
    pub what: &'static str,
    pub ours: Step,
    pub peer: Step,
    pub bar: Bar,
}

/// A row with its least seconds (ours, peer's), or why there are none.
#[derive(Debug)]
pub(super) struct Measured {
    pub row: Row,
    pub seconds: Option<[f64; 2]>,
    pub missing: Option<String>,
}

impl Row {
    /// The side that cannot be run here.
    pub(super) fn missing(&self) -> Option<String> {
        let side = [&self.ours, &self.peer].into_iter().find(|step| !step.is_there())?;
        let name = side.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(format!("{name} is not here"))
    }
}

impl Bar {
    fn text(self) -> String {
        match self {
            Self::AtMost(times) => format!("<= {times} x"),
            Self::Faster(times) => format!(">= {times} x faster"),
            Self::None => "-".into(),
        }
    }

    fn verdict(self, ratio: f64) -> &'static str {
        let met = match self {
            Self::AtMost(times) => ratio <= times,
            Self::Faster(times) => ratio * times <= 1.0,
            Self::None => return "told",
        };
        if met { "met" } else { "MISSED" }
    }

    /// The ratio as the bar counts it.
    fn ratio(self, [ours, peer]: [f64; 2]) -> String {
        match self {
            Self::AtMost(_) | Self::None => format!("{:.2} x", ours / peer),
            Self::Faster(_) => format!("{:.2} x faster", peer / ours),
        }
    }
}

/// Prints the table, then the commands behind its rows.
pub(super) fn print(measured: &[Measured]) {
    lines(measured).iter().for_each(|line| println!("{line}"));
}

fn lines(measured: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        "| what | ours s | peer s | ratio | bar | verdict |".to_owned(),
        "|---|--:|--:|--:|--:|---|".to_owned(),
    ];
    for Measured { row, seconds, missing } in measured {
        let Row { what, bar, .. } = row;
        lines.push(match seconds {
            Some(seconds) => format!(
                "| {what} | {:.3} | {:.3} | {} | {} | {} |",
                seconds[0],
                seconds[1],
                bar.ratio(*seconds),
                bar.text(),
                bar.verdict(seconds[0] / seconds[1])
            ),
            None => {
                let why = missing.as_deref().unwrap_or("not measured");
                format!("| {what} | - | - | - | {} | {why} |", bar.text())
            }
        });
    }
    lines.push("commands, ours then the peer's:".to_owned());
    for Measured { row, .. } in measured {
        lines.push(format!("  {}:\n    {}\n    {}", row.what, row.ours.line(), row.peer.line()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bar: Bar, seconds: Option<[f64; 2]>) -> Measured {
        let row = Row { what: "read", ours: Step::of("true"), peer: Step::of("nothing-like-it"), bar };
        let missing = row.missing();
        Measured { row, seconds, missing }
    }

    #[test]
    fn a_bar_is_met_or_missed_by_the_ratio() {
        let row = |bar, seconds| lines(&[measured(bar, Some(seconds))]).remove(2);

        assert_eq!(row(Bar::AtMost(1.15), [1.1, 1.0]), "| read | 1.100 | 1.000 | 1.10 x | <= 1.15 x | met |");
        assert!(row(Bar::AtMost(1.15), [1.2, 1.0]).ends_with("MISSED |"));
        assert_eq!(
            row(Bar::Faster(5.0), [1.0, 6.0]),
            "| read | 1.000 | 6.000 | 6.00 x faster | >= 5 x faster | met |"
        );
        assert!(row(Bar::Faster(5.0), [1.0, 4.0]).ends_with("MISSED |"));
        assert!(row(Bar::None, [1.0, 4.0]).ends_with("told |"));
    }

    #[test]
    fn a_row_whose_peer_is_missing_says_so() {
        let lines = lines(&[measured(Bar::AtMost(1.0), None)]);

        assert_eq!(lines[2], "| read | - | - | - | <= 1 x | nothing-like-it is not here |");
    }
}

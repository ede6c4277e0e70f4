//! What a rule is, and the registry of all rules with their explanations.
//!
//! The tables of rules are written with a macro, so that a rule is one entry: its constant, its id,
//! how serious its violation is, the rule itself and why it matters. `refpoint disk check --rules`
//! prints the registry.

use super::{chain, vhd_rules, vhdx_rules};

/// How serious a violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; the disk reads right.
    Note,
    /// Against the specification, or a safety is lost; the disk still reads right.
    Warning,
    /// The disk, or a part of it, cannot be read rightly.
    Error,
}

/// One rule of a format.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable name, such as `VHDX-2.2.2-header-checksum`.
    pub id: &'static str,
    /// Where it comes from.
    pub section: &'static str,
    /// How serious a violation is.
    pub severity: Severity,
    /// The rule, as one sentence that holds for sound files.
    pub claim: &'static str,
    /// Why it matters, and what a violation means for the operator.
    pub explanation: &'static str,
}

/// Declares rules and `RULES`, the list of them.
macro_rules! declare_rules {
    ($prefix:literal, $source:literal; $($name:ident $severity:ident $section:literal $id:literal $claim:literal $explanation:literal)+) => {
        $(
            pub(crate) static $name: $crate::check::Rule = $crate::check::Rule {
                id: concat!($prefix, "-", $section, "-", $id),
                section: concat!($source, " ", $section),
                severity: $crate::check::Severity::$severity,
                claim: $claim,
                explanation: $explanation,
            };
        )+
        /// The rules declared here, in the order of the file's structures.
        pub(super) static RULES: &[&$crate::check::Rule] = &[$(&$name),+];
    };
}
pub(super) use declare_rules;

/// All rules, format by format.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [vhdx_rules::RULES, vhd_rules::RULES, chain::RULES].into_iter().flatten().copied()
}

/// The rule of that id, in any case.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_id_and_says_what_and_why() {
        let mut ids: Vec<_> = rules().map(|rule| rule.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        for rule in rules() {
            assert!(rule.claim.ends_with('.') && rule.explanation.ends_with('.'), "{}", rule.id);
            assert!(rule.explanation.len() > rule.claim.len() / 2, "{} is not explained", rule.id);
        }
    }

    #[test]
    fn a_rule_is_found_by_its_id_in_any_case() {
        assert_eq!(rule("vhdx-2.2.2-HEADER-checksum").unwrap().severity, Severity::Warning);
        assert_eq!(rule("VHDX-9"), None);
    }
}

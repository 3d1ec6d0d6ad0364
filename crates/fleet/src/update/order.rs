//! Who is restarted first: the one whose failure would cost least. Facts in, order out.

use super::UpdateError;

/// What decides about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) name: String,
    /// It watches over another, which somebody may need when that one is down.
    pub(super) is_rescue: bool,
    /// It is the one without a profile, or called main.
    pub(super) is_main: bool,
    /// It is started with the machine.
    pub(super) is_enabled: bool,
    /// How many conversations it has.
    pub(super) sessions: u64,
}

/// The numbers of the instances in the order of their restarts: the one that is named first, else the one with the
/// least to lose; those that look after others come last.
///
/// # Errors
/// When no running instance has the name.
pub(super) fn order(all: &[Weight], first: Option<&str>) -> Result<Vec<usize>, UpdateError> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| {
        let it = &all[*at];
        (it.is_rescue, it.is_main, it.is_enabled, it.sessions, it.name.clone())
    });
    if let Some(first) = first {
        let Some(at) = order.iter().position(|at| all[*at].name == first) else {
            let running = order.iter().map(|at| all[*at].name.clone()).collect();
            return Err(UpdateError::NoCanary { name: first.to_owned(), running });
        };
        let named = order.remove(at);
        order.insert(0, named);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(name: &str, flags: &str, sessions: u64) -> Weight {
        let has = |it| flags.contains(it);
        let (is_rescue, is_main, is_enabled) = (has('r'), has('m'), has('e'));
        Weight { name: name.to_owned(), is_rescue, is_main, is_enabled, sessions }
    }

    #[test]
    fn the_least_important_goes_first_and_the_rescue_last() {
        let all = [
            weight("main", "me", 0),
            weight("rescue", "r", 0),
            weight("busy", "", 9),
            weight("b", "", 1),
            weight("a", "", 1),
            weight("kept", "e", 0),
        ];
        let names = |first| -> Vec<&str> {
            let order = order(&all, first).expect("all run");
            order.into_iter().map(|at| all[at].name.as_str()).collect()
        };
        assert_eq!(names(None), ["a", "b", "busy", "kept", "main", "rescue"]);
        assert_eq!(names(Some("rescue")), ["rescue", "a", "b", "busy", "kept", "main"]);
        assert!(
            matches!(order(&all, Some("c")), Err(UpdateError::NoCanary { running, .. }) if running.len() == 6)
        );
    }
}

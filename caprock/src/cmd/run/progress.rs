//! How far the instances are, on stderr, so that stdout holds only the command's output.

use std::collections::BTreeMap;
use std::time::Duration;

use caprock_proto::mesos::v1::TaskState;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar of ended instances, with the states of the others beside it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    states: BTreeMap<String, TaskState>,
}

impl Progress {
    /// A bar for so many instances; a quiet one prints nothing.
    pub fn new(instances: u32, quiet: bool) -> Self {
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(u64::from(instances))
        };
        let style = ProgressStyle::with_template("{spinner} [{bar:30}] {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is constant and well-formed"));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message("waiting for offers");
        Progress {
            bar,
            states: BTreeMap::new(),
        }
    }

    /// A line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.println(line);
    }

    /// Runs something that writes to stdout, without the bar in between.
    pub fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Notes the state of an instance.
    pub fn set(&mut self, task: &str, state: TaskState) {
        self.states.insert(task.to_owned(), state);
        let ended = self
            .states
            .values()
            .filter(|s| caprock_model::task::is_terminal(**s))
            .count();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for state in self.states.values() {
            *counts.entry(short(*state)).or_default() += 1;
        }
        let text: Vec<String> = counts.iter().map(|(s, n)| format!("{n} {s}")).collect();
        self.bar.set_position(ended as u64);
        self.bar.set_message(text.join(", "));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn short(state: TaskState) -> &'static str {
    state
        .as_str_name()
        .strip_prefix("TASK_")
        .unwrap_or(state.as_str_name())
}

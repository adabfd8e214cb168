//! Tables for people, JSON for programs.

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// What `-o` takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for a terminal.
    #[default]
    Table,
    /// One JSON document on stdout.
    Json,
}

/// Something that a command prints: a row of a table, and an object of the JSON form.
pub trait Row: Serialize {
    /// Column titles.
    const TITLES: &'static [&'static str];
    /// One cell per title.
    fn cells(&self) -> Vec<String>;
}

/// Prints the rows. An empty table says so on stderr, so that a pipe gets nothing.
pub fn print<R: Row>(format: Format, rows: &[R], what: &str) -> anyhow::Result<()> {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(rows)?),
        Format::Table if rows.is_empty() => eprintln!("no {what}"),
        Format::Table => println!("{}", table(rows)),
    }
    Ok(())
}

fn table<R: Row>(rows: &[R]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(R::TITLES);
    for row in rows {
        table.add_row(row.cells());
    }
    table
}

/// `4` for 4.0 and `0.25` for 0.25.
pub fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    rounded.to_string()
}

/// How long ago a time in nanoseconds since 1970 was, in the largest unit that fits.
pub fn ago(nanoseconds: i64, now_ms: i64) -> String {
    let seconds = (now_ms - nanoseconds / 1_000_000).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// Wall-clock time in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Row for Pair {
        const TITLES: &'static [&'static str] = &["NAME", "COUNT"];
        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn a_table_has_a_line_per_row_below_its_titles() {
        let text = table(&[Pair("a", 1), Pair("bb", 22)]).to_string();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("NAME") && lines[0].contains("COUNT"));
        assert!(lines[2].contains("bb") && lines[2].contains("22"));
    }

    #[test]
    fn ages_use_the_largest_unit() {
        let at = |seconds_ago: i64| {
            ago(
                1_000_000_000_000_000_000,
                1_000_000_000_000 + seconds_ago * 1000,
            )
        };
        assert_eq!(at(5), "5s");
        assert_eq!(at(65), "1m");
        assert_eq!(at(7200), "2h");
        assert_eq!(at(200_000), "2d");
        assert_eq!(at(-5), "0s");
    }

    #[test]
    fn numbers_have_no_needless_digits() {
        assert_eq!(number(4.0), "4");
        assert_eq!(number(0.1 + 0.2), "0.3");
    }
}

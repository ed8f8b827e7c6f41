//! The measured figures beside their goals.

use serde_json::{Value, json};

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What is compared.
    pub(crate) name: &'static str,
    /// The ratio, or the figure itself if it has a unit.
    pub(crate) value: f64,
    /// The unit of a figure that is not a ratio.
    pub(crate) unit: &'static str,
    /// The goal.
    pub(crate) wanted: Wanted,
    /// The underlying numbers, for people.
    pub(crate) detail: String,
}

/// The goal of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }

    /// How a value compares with an earlier one: above 1 is better.
    fn quality(self, value: f64, earlier: f64) -> f64 {
        match self {
            Self::AtLeast(_) => value / earlier,
            Self::AtMost(_) => earlier / value,
        }
    }
}

/// The figures of one number of users.
pub(crate) struct Column {
    pub(crate) users: i64,
    pub(crate) figures: Vec<Figure>,
}

/// How much worse a figure may be with many users than with few.
const SIZE_BOUND: f64 = 0.8;

pub(crate) fn print(columns: &[Column]) {
    for Column { users, figures } in columns {
        println!("\nwith {users} users");
        println!("{:<62} {:>9} {:>10}", "figure", "wanted", "measured");
        for figure in figures {
            let Figure { name, value, unit, wanted, detail } = figure;
            let mark = if wanted.is_met(*value) { ' ' } else { '!' };
            let measured = format!("{value:.2}{unit}");
            println!("{name:<62} {:>9} {measured:>10} {mark}  {detail}", wanted.text());
        }
    }
    let sizes = by_size(columns);
    if !sizes.is_empty() {
        println!("\nwith many users, as good as with few (wanted >= {SIZE_BOUND})");
        for (name, quality) in sizes {
            let mark = if quality >= SIZE_BOUND { ' ' } else { '!' };
            println!("{name:<62} {quality:>20.2} {mark}");
        }
    }
}

/// Each figure of the last column compared with that of the first.
fn by_size(columns: &[Column]) -> Vec<(&'static str, f64)> {
    let [.., first, last] = columns else { return Vec::new() };
    let compare = |many: &Figure| {
        let few = first.figures.iter().find(|few| few.name == many.name)?;
        Some((many.name, many.wanted.quality(many.value, few.value)))
    };
    last.figures.iter().filter_map(compare).collect()
}

pub(crate) fn to_json(columns: &[Column]) -> Value {
    let of_column = |column: &Column| {
        let figures: Vec<Value> = column.figures.iter().map(of_figure).collect();
        json!({ "users": column.users, "figures": figures })
    };
    let sizes: Vec<Value> = by_size(columns)
        .into_iter()
        .map(|(name, quality)| json!({ "name": name, "quality": quality }))
        .collect();
    let columns: Vec<Value> = columns.iter().map(of_column).collect();
    json!({ "columns": columns, "by_size": sizes })
}

fn of_figure(figure: &Figure) -> Value {
    let Figure { name, value, unit, wanted, detail } = figure;
    json!({ "name": name, "value": value, "unit": unit.trim(), "wanted": wanted.text(),
            "is_met": wanted.is_met(*value), "detail": detail })
}

//! What is computed from the sample, as a polars frame: quantiles, moments, histograms and box
//! plots.

use polars::prelude::{
    Column as Series, DataFrame, DataType, Expr, Float64Chunked, IntoColumn, IntoLazy,
    NamedFrom as _, PolarsResult, QuantileMethod, Series as PlSeries, col, len, lit,
};

use super::result::{BoxPlot, Histogram};

/// The parts of which quantiles are told.
pub(crate) const PARTS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
/// Bins of a histogram, at most.
const MAX_BINS: usize = 40;
/// And at least, unless the values are few whole numbers.
const MIN_BINS: f64 = 8.0;
/// How far from the box a value may be and still be reached by a whisker, in interquartile
/// ranges (Tukey: "Exploratory data analysis", 1977).
const REACH: f64 = 1.5;

/// Values beyond the whiskers that are told, at most.
const BEYOND: usize = 24;

const CLASS: &str = "class";

/// The sample: one column of measures for each column of the table, and the class.
pub(crate) struct Frame {
    frame: DataFrame,
    columns: Vec<Vec<f64>>,
    /// The class of each row; empty without classes.
    pub(crate) classes: Vec<u32>,
    /// How many classes there are.
    pub(crate) class_count: usize,
}

/// Figures of one column of the sample.
pub(crate) struct Spread {
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) skewness: Option<f64>,
    pub(crate) kurtosis: Option<f64>,
}

fn name(column: usize) -> String {
    format!("c{column}")
}

impl Frame {
    /// `columns`: `[columns][rows]`, NaN where there is no value.
    pub(crate) fn new(
        mut columns: Vec<Vec<f64>>,
        classes: Vec<u32>,
        class_count: usize,
    ) -> PolarsResult<Self> {
        let rows = columns.first().map_or(0, Vec::len);
        let mut series: Vec<Series> = Vec::with_capacity(columns.len() + 1);
        for (at, column) in columns.iter_mut().enumerate() {
            for value in column.iter_mut().filter(|value| !value.is_finite()) {
                *value = f64::NAN;
            }
            let values = column
                .iter()
                .map(|value| (!value.is_nan()).then_some(*value));
            let values: Float64Chunked = values.collect();
            series.push(values.with_name(name(at).into()).into_column());
        }
        if !classes.is_empty() {
            series.push(PlSeries::new(CLASS.into(), &classes).into_column());
        }
        Ok(Self {
            frame: DataFrame::new(rows, series)?,
            columns,
            classes,
            class_count,
        })
    }

    /// The measures of a column, NaN where there is none.
    pub(crate) fn column(&self, column: usize) -> &[f64] {
        &self.columns[column]
    }

    pub(crate) fn rows(&self) -> usize {
        self.frame.height()
    }

    /// Quantiles, skewness and kurtosis of every column.
    pub(crate) fn spreads(&self) -> PolarsResult<Vec<Spread>> {
        if self.rows() == 0 {
            return Ok(Vec::new());
        }
        let mut wanted: Vec<Expr> = Vec::new();
        for at in 0..self.columns.len() {
            let value = col(name(at));
            wanted.extend(PARTS.iter().enumerate().map(|(part, share)| {
                let quantile = value.clone().quantile(lit(*share), QuantileMethod::Linear);
                quantile.alias(format!("q{at}_{part}"))
            }));
            let from_mean = value.clone() - value.mean();
            let square = from_mean.clone() * from_mean.clone();
            let cube = square.clone() * from_mean;
            let fourth = square.clone() * square.clone();
            for (power, moment) in [(2, square), (3, cube), (4, fourth)] {
                wanted.push(moment.mean().alias(format!("m{at}_{power}")));
            }
        }
        let told = self.frame.clone().lazy().select(wanted).collect()?;
        let figure =
            |name: String| -> PolarsResult<Option<f64>> { Ok(told.column(&name)?.f64()?.get(0)) };
        let mut spreads = Vec::with_capacity(self.columns.len());
        for at in 0..self.columns.len() {
            let mut quantiles = Vec::with_capacity(PARTS.len());
            for (part, share) in PARTS.iter().enumerate() {
                quantiles.extend(figure(format!("q{at}_{part}"))?.map(|value| (*share, value)));
            }
            let second = figure(format!("m{at}_2"))?.filter(|second| *second > 0.0);
            let (third, fourth) = (figure(format!("m{at}_3"))?, figure(format!("m{at}_4"))?);
            spreads.push(Spread {
                quantiles,
                skewness: second.zip(third).map(|(m2, m3)| m3 / m2.powf(1.5)),
                kurtosis: second.zip(fourth).map(|(m2, m4)| m4 / (m2 * m2) - 3.0),
            });
        }
        Ok(spreads)
    }

    /// The rows of a column in bins between `min` and `max`; `None` when these are the same.
    /// `whole`: whether all values are whole numbers.
    pub(crate) fn histogram(
        &self,
        column: usize,
        (min, max): (f64, f64),
        whole: bool,
        spread: &Spread,
    ) -> PolarsResult<Option<Histogram>> {
        if min >= max || !(max - min).is_finite() {
            return Ok(None);
        }
        let quantile = |part: f64| spread.quantiles.iter().find(|(known, _)| *known == part);
        let middle = quantile(0.75)
            .zip(quantile(0.25))
            .map_or(0.0, |(q3, q1)| q3.1 - q1.1);
        let (start, width, bins) = binning((min, max), whole, middle, self.rows());
        let mut histogram = Histogram {
            edges: (0..=bins).map(|edge| start + width * edge as f64).collect(),
            rows: vec![0; bins],
            by_class: match self.classes.is_empty() {
                true => Vec::new(),
                false => vec![vec![0; bins]; self.class_count],
            },
            discrete: whole && width == 1.0,
        };
        if !histogram.discrete && !whole {
            histogram.edges[bins] = max;
        }
        let value = col(name(column));
        let bin = ((value.clone() - lit(start)) / lit(width)).cast(DataType::Int64);
        let mut keys = vec![bin.alias("bin")];
        if !self.classes.is_empty() {
            keys.push(col(CLASS));
        }
        let counted = self
            .frame
            .clone()
            .lazy()
            .filter(value.is_not_null())
            .group_by(keys)
            .agg([len().cast(DataType::UInt32).alias("rows")])
            .collect()?;
        let (bin, rows) = (
            counted.column("bin")?.i64()?,
            counted.column("rows")?.u32()?,
        );
        for at in 0..counted.height() {
            let place = usize::try_from(bin.get(at).unwrap_or(0))
                .unwrap_or(0)
                .min(bins - 1);
            let count = u64::from(rows.get(at).unwrap_or(0));
            histogram.rows[place] += count;
            if !self.classes.is_empty() {
                let class = counted.column(CLASS)?.u32()?.get(at).unwrap_or(0);
                histogram.by_class[class as usize][place] += count;
            }
        }
        Ok(Some(histogram))
    }

    /// Box plots of some columns, by class if there are classes: `[columns][classes]`.
    pub(crate) fn boxes(&self, columns: &[usize]) -> PolarsResult<Vec<Vec<BoxPlot>>> {
        if self.rows() == 0 {
            return Ok(columns.iter().map(|_| Vec::new()).collect());
        }
        let groups: Vec<Option<u32>> = match self.classes.is_empty() {
            true => vec![None],
            false => (0..self.class_count as u32).map(Some).collect(),
        };
        let mut all = Vec::with_capacity(columns.len());
        for column in columns {
            let mut boxes = Vec::with_capacity(groups.len());
            for group in &groups {
                boxes.extend(self.box_plot(*column, *group)?);
            }
            all.push(boxes);
        }
        Ok(all)
    }

    fn box_plot(&self, column: usize, class: Option<u32>) -> PolarsResult<Option<BoxPlot>> {
        let value = col(name(column));
        let mut rows = self
            .frame
            .clone()
            .lazy()
            .filter(value.clone().is_not_null());
        if let Some(class) = class {
            rows = rows.filter(col(CLASS).eq(lit(class)));
        }
        let quantile = |part: f64| value.clone().quantile(lit(part), QuantileMethod::Linear);
        let told = rows
            .clone()
            .select([
                quantile(0.25).alias("q1"),
                quantile(0.5).alias("median"),
                quantile(0.75).alias("q3"),
                value.clone().mean().alias("mean"),
                value.clone().min().alias("min"),
                value.clone().max().alias("max"),
                len().cast(DataType::UInt32).alias("rows"),
            ])
            .collect()?;
        let figure = |frame: &DataFrame, name: &str| -> PolarsResult<f64> {
            Ok(frame.column(name)?.f64()?.get(0).unwrap_or(f64::NAN))
        };
        let count = |frame: &DataFrame, name: &str| -> PolarsResult<u64> {
            Ok(u64::from(frame.column(name)?.u32()?.get(0).unwrap_or(0)))
        };
        let total = count(&told, "rows")?;
        if total == 0 {
            return Ok(None);
        }
        let (q1, q3) = (figure(&told, "q1")?, figure(&told, "q3")?);
        let reach = REACH * (q3 - q1);
        let within = value.clone().gt_eq(lit(q1 - reach));
        let within = within.and(value.clone().lt_eq(lit(q3 + reach)));
        let outside = rows
            .clone()
            .filter(within.clone().not())
            .select([value.clone()])
            .collect()?;
        let mut beyond: Vec<f64> = outside
            .column(&name(column))?
            .f64()?
            .iter()
            .flatten()
            .collect();
        beyond.sort_by(f64::total_cmp);
        let inside = rows
            .filter(within)
            .select([
                value.clone().min().alias("low"),
                value.max().alias("high"),
                len().cast(DataType::UInt32).alias("rows"),
            ])
            .collect()?;
        Ok(Some(BoxPlot {
            class: class.map(|class| class as usize),
            rows: total,
            // A whisker does not end inside its box.
            low: figure(&inside, "low")?.min(q1),
            q1,
            median: figure(&told, "median")?,
            q3,
            high: figure(&inside, "high")?.max(q3),
            mean: figure(&told, "mean")?,
            min: figure(&told, "min")?,
            max: figure(&told, "max")?,
            outliers: total - count(&inside, "rows")?,
            beyond: spread_out(&beyond),
        }))
    }
}

/// Some of many sorted values: the outermost and what is evenly between them.
fn spread_out(sorted: &[f64]) -> Vec<f64> {
    let last = sorted.len().saturating_sub(1);
    match sorted.len() > BEYOND {
        false => sorted.to_vec(),
        true => (0..BEYOND)
            .map(|at| sorted[at * last / (BEYOND - 1)])
            .collect(),
    }
}

/// Where bins start, how wide they are, and how many there are: one for each whole number if
/// these are few, else by the rule of Freedman and Diaconis ("On the histogram as a density
/// estimator", 1981), or Sturges's where the middle half of the values is one value.
fn binning((min, max): (f64, f64), whole: bool, middle: f64, rows: usize) -> (f64, f64, usize) {
    let range = max - min;
    if whole && range < MAX_BINS as f64 {
        return (min - 0.5, 1.0, range as usize + 1);
    }
    let rows = rows.max(1) as f64;
    let wanted = match middle > 0.0 {
        true => range / (2.0 * middle / rows.cbrt()),
        false => rows.log2() + 1.0,
    };
    let bins = wanted.ceil().clamp(MIN_BINS, MAX_BINS as f64);
    if whole {
        let width = ((range + 1.0) / bins).ceil();
        let bins = ((range + 1.0) / width).ceil();
        return (min - 0.5, width, bins as usize);
    }
    (min, range / bins, bins as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_fit_the_values() {
        assert_eq!(binning((3.0, 8.0), true, 1.0, 1_600), (2.5, 1.0, 6));
        let (start, width, bins) = binning((0.0, 999.0), true, 500.0, 1_000);
        assert_eq!((start, width), (-0.5, 100.0));
        assert_eq!(bins, 10);
        let (start, width, bins) = binning((0.0, 1.0), false, 0.5, 1_000);
        assert_eq!((start, bins), (0.0, 10));
        assert!((width - 0.1).abs() < 1e-12);
        assert_eq!(binning((0.0, 1.0), false, 0.0, 1_024).2, 11);
        assert_eq!(binning((0.0, 1e9), false, 1e-9, 1_024).2, MAX_BINS);
    }
}

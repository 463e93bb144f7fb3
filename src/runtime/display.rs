//! Printing of arrays, character for character as NumPy 2.4 prints them with its default options.
//!
//! In: an [`AnyArray`]. Out: text. Where an array has more than 1000 elements, only three at either end of each axis are
//! shown, and only those are looked at. A line is at most 75 characters wide unless one element is wider.
//!
//! The rules are those of NumPy's `arrayprint`: all elements of an array have one format. Floats show the fewest digits that
//! tell them from their neighbours of the same dtype, at most 8 after the point, and have an exponent if one of them
//! is large, small or a thousand times another. A 0-d array prints as a scalar, with all its digits. `bf16`, which NumPy does
//! not know, follows the rules of its floats.

use std::fmt;

use loopweave_ir::{Dtype, Kind, Scalar};

use super::array::AnyArray;

/// An array of more elements is shown as its corners.
const THRESHOLD: usize = 1000;

/// How many elements of each end of an axis the corners have.
const EDGE: usize = 3;

/// The greatest width of a line.
const LINE_WIDTH: usize = 75;

/// The largest number of digits after the point.
const PRECISION: usize = 8;

impl fmt::Display for AnyArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape();
        if shape.is_empty() {
            return self.get(&[]).map_or(Ok(()), |value| f.write_str(&scalar(value)));
        }
        if shape.contains(&0) {
            return f.write_str("[]");
        }
        let edge = (shape.iter().product::<usize>() > THRESHOLD).then_some(EDGE);
        let mut shown = Vec::new();
        visit(self, edge, &mut Vec::new(), &mut shown);
        let printer = Printer {
            array: self,
            edge,
            format: Format::of(self.dtype(), &shown),
        };
        f.write_str(&printer.axis(&mut Vec::new()))
    }
}

/// Collects the elements that will be shown.
fn visit(array: &AnyArray, edge: Option<usize>, index: &mut Vec<usize>, shown: &mut Vec<Scalar>) {
    let Some(&extent) = array.shape().get(index.len()) else {
        shown.extend(array.get(index));
        return;
    };
    let (head, tail) = ends(extent, edge);
    for i in (0..head).chain(tail..extent) {
        index.push(i);
        visit(array, edge, index, shown);
        index.pop();
    }
}

/// The end of the first part that is shown of an axis, and the beginning of the last; equal where nothing is left out.
fn ends(extent: usize, edge: Option<usize>) -> (usize, usize) {
    match edge {
        Some(edge) if extent > 2 * edge => (edge, extent - edge),
        _ => (extent, extent),
    }
}

struct Printer<'a> {
    array: &'a AnyArray,
    edge: Option<usize>,
    format: Format,
}

impl Printer<'_> {
    /// The part of the array at the front of an index, in brackets.
    fn axis(&self, index: &mut Vec<usize>) -> String {
        let shape = self.array.shape();
        let (depth, extent) = (index.len(), shape[index.len()]);
        let (head, tail) = ends(extent, self.edge);
        let parts = (0..head)
            .map(Some)
            .chain((head < tail).then_some(None))
            .chain((tail..extent).map(Some));
        let inner = depth + 1 == shape.len();
        let mut words = parts.map(|part| match part {
            None => "...".to_owned(),
            Some(i) => {
                index.push(i);
                let word = if inner {
                    self.array.get(index).map_or_else(String::new, |v| self.format.word(v))
                } else {
                    self.axis(index)
                };
                index.pop();
                word
            }
        });
        let indent = " ".repeat(depth + 1);
        if inner {
            return wrap(words, &indent, LINE_WIDTH - (depth + 1).min(LINE_WIDTH));
        }
        let separator = format!("{}{indent}", "\n".repeat(shape.len() - 1 - depth));
        let first = words.next().unwrap_or_default();
        words.fold(format!("[{first}"), |text, word| text + &separator + &word) + "]"
    }
}

/// A row of elements, in lines of a greatest width.
fn wrap(words: impl Iterator<Item = String>, indent: &str, width: usize) -> String {
    let mut text = String::from("[");
    // The bracket takes the place of the indent's last blank.
    let mut column = indent.len();
    let mut line_is_empty = true;
    for word in words {
        let blank = usize::from(!line_is_empty);
        if !line_is_empty && column + blank + word.len() > width {
            // Floats are padded on both sides, and a line ends without its padding.
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.push_str(indent);
            column = indent.len();
        } else if blank == 1 {
            text.push(' ');
            column += 1;
        }
        text.push_str(&word);
        column += word.len();
        line_is_empty = false;
    }
    text + "]"
}

/// How the elements of one array are written, so that they line up.
enum Format {
    /// Right-aligned in a width: booleans and integers.
    Right(usize),
    Float(FloatFormat),
}

impl Format {
    fn of(dtype: Dtype, values: &[Scalar]) -> Format {
        match dtype.kind() {
            Kind::Bool => Format::Right(5),
            Kind::Float => Format::Float(FloatFormat::of(dtype, values)),
            Kind::Signed | Kind::Unsigned => {
                let numbers = || values.iter().map(|v| v.as_i128());
                let width = |n: Option<i128>| n.map_or(0, |n| n.to_string().len());
                Format::Right(width(numbers().max()).max(width(numbers().min())))
            }
        }
    }

    fn word(&self, value: Scalar) -> String {
        match self {
            Format::Right(width) => format!("{:>width$}", scalar(value)),
            Format::Float(format) => format.word(value),
        }
    }
}

/// How the floats of one array are written.
struct FloatFormat {
    /// Characters before the point, sign included.
    left: usize,
    /// Characters after the point: digits, and the exponent if there is one.
    right: usize,
    /// Where there is an exponent, its digits, and those of every fraction.
    exponent: Option<Exponent>,
}

struct Exponent {
    digits: usize,
    fraction: usize,
}

impl FloatFormat {
    fn of(dtype: Dtype, values: &[Scalar]) -> FloatFormat {
        let finite: Vec<Scalar> = values.iter().copied().filter(|v| v.as_f64().is_finite()).collect();
        let mut format = FloatFormat {
            left: 0,
            right: 0,
            exponent: None,
        };
        if needs_exponent(dtype, &finite) {
            let parts: Vec<Decimal> = finite
                .iter()
                .map(|&v| Decimal::shortest(v).rounded(v, PRECISION))
                .collect();
            let fraction = parts.iter().map(|d| d.digits.len() - 1).max().unwrap_or(0);
            let digits = parts.iter().map(|d| d.exponent_digits()).max().unwrap_or(2);
            format.exponent = Some(Exponent { digits, fraction });
            format.left = finite.iter().map(|v| 1 + sign(*v).len()).max().unwrap_or(0);
            format.right = fraction + 2 + digits;
        } else {
            for (left, right) in finite.iter().map(|&v| positional(v, PRECISION)) {
                format.left = format.left.max(left.len());
                format.right = format.right.max(right.len());
            }
        }
        if finite.len() < values.len() {
            let negative = values.iter().any(|v| v.as_f64() == f64::NEG_INFINITY);
            let width = "inf".len() + usize::from(negative);
            format.left = format.left.max(width.saturating_sub(format.right + 1));
        }
        format
    }

    fn word(&self, value: Scalar) -> String {
        let FloatFormat { left, right, .. } = *self;
        if !value.as_f64().is_finite() {
            return format!("{:>width$}", scalar(value), width = left + 1 + right);
        }
        match &self.exponent {
            None => {
                let (whole, fraction) = positional(value, PRECISION);
                format!("{whole:>left$}.{fraction:<right$}")
            }
            Some(exponent) => {
                let decimal = Decimal::shortest(value);
                let decimal = if decimal.digits.len() == exponent.fraction + 1 {
                    decimal
                } else {
                    Decimal::exact(value, exponent.fraction)
                };
                let text = format!("{}{}", sign(value), decimal.scientific(".", exponent.digits));
                let width = left + 1 + right;
                format!("{text:>width$}")
            }
        }
    }
}

/// Whether the floats of an array are written with an exponent. NumPy decides it in the arithmetic of the dtype.
fn needs_exponent(dtype: Dtype, finite: &[Scalar]) -> bool {
    let round = |value: f64| Scalar::from_f64(dtype, value).as_f64();
    let nonzero = || finite.iter().map(|v| v.as_f64().abs()).filter(|&v| v != 0.0);
    let (Some(max), Some(min)) = (nonzero().reduce(f64::max), nonzero().reduce(f64::min)) else {
        return false;
    };
    let large = 10f64.powi(decimal_digits(dtype).min(8));
    max >= large || min < round(0.0001) || round(max / min) > 1000.0
}

/// How many decimal digits a float of this type keeps.
fn decimal_digits(dtype: Dtype) -> i32 {
    match dtype {
        Dtype::Bf16 => 2,
        Dtype::F16 => 3,
        Dtype::F32 => 6,
        _ => 15,
    }
}

/// One value on its own.
fn scalar(value: Scalar) -> String {
    match value.dtype().kind() {
        Kind::Bool => String::from(if value.as_bool() { "True" } else { "False" }),
        Kind::Signed | Kind::Unsigned => value.as_i128().to_string(),
        Kind::Float => {
            let magnitude = value.as_f64().abs();
            let large = match value.dtype() {
                Dtype::F64 => 1e16,
                other => 10f64.powi(decimal_digits(other)),
            };
            if magnitude.is_nan() {
                String::from("nan")
            } else if magnitude.is_infinite() {
                format!("{}inf", sign(value))
            } else if magnitude == 0.0 || (1e-4..large).contains(&magnitude) {
                let (whole, fraction) = positional(value, usize::MAX);
                let fraction = if fraction.is_empty() { "0" } else { &fraction };
                format!("{whole}.{fraction}")
            } else {
                format!("{}{}", sign(value), Decimal::shortest(value).scientific("", 2))
            }
        }
    }
}

fn sign(value: Scalar) -> &'static str {
    if value.as_f64().is_sign_negative() { "-" } else { "" }
}

/// What stands before and after the point, with the fewest digits that tell the value from its neighbours, and at most so
/// many after the point.
fn positional(value: Scalar, precision: usize) -> (String, String) {
    let Decimal { digits, exponent } = Decimal::shortest(value);
    let places = digits.len() as i32 - 1 - exponent;
    if places > 0 && places as usize > precision {
        let text = format!("{:.precision$}", value.as_f64());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        return (whole.to_owned(), fraction.trim_end_matches('0').to_owned());
    }
    let whole = if exponent < 0 {
        String::from("0")
    } else {
        let width = exponent as usize + 1;
        let known = &digits[..digits.len().min(width)];
        format!("{known:0<width$}")
    };
    let fraction = match exponent {
        ..0 => format!("{}{digits}", "0".repeat((-exponent - 1) as usize)),
        _ => digits.get(exponent as usize + 1..).unwrap_or("").to_owned(),
    };
    let fraction = fraction.trim_end_matches('0').to_owned();
    (format!("{}{whole}", sign(value)), fraction)
}

/// The magnitude of a finite float: d.ddd · 10^exponent.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that tell the value from its neighbours of the same dtype; of those, the nearest, the even one of
    /// two that are as near.
    ///
    /// By trial, for Rust gives the number of digits but rounds a tie up, and knows no 16-bit floats. Below a power of two the
    /// neighbours are nearer than above, so the next decimal above may come back where the nearest, which is below, does not.
    fn shortest(value: Scalar) -> Decimal {
        let magnitude = value.as_f64().abs();
        let comes_back = |decimal: &Decimal| decimal.value(value.dtype()) == magnitude;
        let least = match value.dtype() {
            Dtype::F32 => Decimal::parse(&format!("{:e}", magnitude as f32)).digits.len(),
            Dtype::F64 => Decimal::parse(&format!("{magnitude:e}")).digits.len(),
            _ => 1,
        };
        (least - 1..16)
            .flat_map(|fraction| {
                let nearest = Decimal::exact(value, fraction);
                let above = nearest.successor();
                [nearest, above]
            })
            .find(comes_back)
            .unwrap_or_else(|| Decimal::exact(value, 16))
    }

    /// The value with so many digits after the first, correctly rounded.
    fn exact(value: Scalar, fraction: usize) -> Decimal {
        Decimal::parse(&format!("{:.fraction$e}", value.as_f64().abs()))
    }

    /// These digits of `value` if they are few enough, or else the value correctly rounded, without trailing zeros.
    fn rounded(self, value: Scalar, fraction: usize) -> Decimal {
        if self.digits.len() <= fraction + 1 {
            return self;
        }
        let Decimal { digits, exponent } = Decimal::exact(value, fraction);
        let kept = digits.trim_end_matches('0').len().max(1);
        Decimal {
            digits: digits[..kept].to_owned(),
            exponent,
        }
    }

    /// Reads what Rust's `{:e}` wrote.
    fn parse(text: &str) -> Decimal {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        Decimal {
            digits: mantissa.replace('.', ""),
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    /// The nearest value of a dtype.
    fn value(&self, dtype: Dtype) -> f64 {
        let Decimal { digits, exponent } = self;
        let text = format!("{digits}e{}", exponent + 1 - digits.len() as i32);
        match dtype {
            Dtype::F32 => text.parse::<f32>().map_or(f64::NAN, f64::from),
            _ => text.parse().map_or(f64::NAN, |v| Scalar::from_f64(dtype, v).as_f64()),
        }
    }

    /// The next decimal of as many digits.
    fn successor(&self) -> Decimal {
        let next = self.digits.parse::<u64>().map_or(0, |n| n + 1).to_string();
        let carry = (next.len() - self.digits.len()) as i32;
        Decimal {
            digits: next[..self.digits.len()].to_owned(),
            exponent: self.exponent + carry,
        }
    }

    fn exponent_digits(&self) -> usize {
        self.exponent.unsigned_abs().to_string().len().max(2)
    }

    /// `d.ddde+xx`, where a lone digit is followed by `point`.
    fn scientific(&self, lone_point: &str, exponent_digits: usize) -> String {
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { lone_point } else { "." };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        format!(
            "{first}{point}{rest}e{sign}{:0>exponent_digits$}",
            self.exponent.unsigned_abs()
        )
    }
}

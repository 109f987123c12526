use std::fmt::Write;

use super::{Measured, mib};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// The height of a panel, and from the top of one to that of the next.
const HEIGHT: f64 = 110.0;
const STEP: f64 = 165.0;
const TOP: f64 = 45.0;

/// Of what a panel is drawn.
struct Panel {
    title: &'static str,
    lines: Vec<Line>,
}

struct Line {
    name: &'static str,
    colour: &'static str,
    values: Vec<f64>,
}

fn line(
    measured: &[Measured],
    name: &'static str,
    colour: &'static str,
    of: impl Fn(&Measured) -> f64,
) -> Line {
    Line { name, colour, values: measured.iter().map(of).collect() }
}

/// Three panels over the number of runs, as SVG.
pub(super) fn draw(measured: &[Measured]) -> String {
    let line = |name, colour, of: fn(&Measured) -> f64| line(measured, name, colour, of);
    let panels = [
        Panel {
            title: "time for 1,000 runs of three steps, in ms",
            lines: vec![line("", "#0072b2", |at| at.per_thousand.as_secs_f64() * 1_000.0)],
        },
        Panel {
            title: "on the disk, in MiB",
            lines: vec![
                line("file", "#0072b2", |at| mib(at.file)),
                line("write-ahead log", "#d55e00", |at| mib(at.log)),
            ],
        },
        Panel { title: "memory, in MiB", lines: vec![line("", "#0072b2", |at| mib(at.memory))] },
    ];
    let height = TOP + STEP * panels.len() as f64;
    let runs = measured.last().map_or(1, |last| last.runs);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, LEFT, 20.0, "start", &format!("{runs} runs through a worker with retention on"));
    for (number, panel) in panels.iter().enumerate() {
        draw_panel(&mut svg, panel, TOP + STEP * number as f64, measured);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel, top: f64, measured: &[Measured]) {
    let highest =
        panel.lines.iter().flat_map(|line| &line.values).fold(0.0_f64, |most, value| most.max(*value));
    let (highest, bottom) = (round_up(highest), top + HEIGHT);
    text(svg, LEFT, top - 6.0, "start", panel.title);
    for part in [0.0, 0.5, 1.0] {
        let y = bottom - HEIGHT * part;
        add(svg, format_args!("<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#ddd\"/>", WIDTH - RIGHT));
        text(svg, LEFT - 6.0, y + 4.0, "end", &number(highest * part));
    }
    let runs = measured.last().map_or(1, |last| last.runs);
    let x = |runs_so_far: usize| LEFT + (WIDTH - LEFT - RIGHT) * runs_so_far as f64 / runs as f64;
    for quarter in 0..=4 {
        let at = runs * quarter / 4;
        let anchor = if quarter == 4 { "end" } else { "middle" };
        text(svg, x(at), bottom + 16.0, anchor, &at.to_string());
    }
    for (place, line) in panel.lines.iter().enumerate() {
        let y = |value: f64| bottom - HEIGHT * value / highest;
        let points = measured.iter().zip(&line.values);
        let points = points.map(|(at, value)| format!("{:.1},{:.1}", x(at.runs), y(*value)));
        let (points, colour) = (points.collect::<Vec<_>>().join(" "), line.colour);
        add(
            svg,
            format_args!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            ),
        );
        if !line.name.is_empty() {
            let at = WIDTH - RIGHT - 110.0 * (place + 1) as f64;
            add(svg, format_args!("<g fill=\"{colour}\">"));
            text(svg, at, top - 6.0, "start", line.name);
            add(svg, format_args!("</g>"));
        }
    }
}

/// The next of 1, 2, 5, 10, 20, 50 …
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(0.001).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| value <= *step).unwrap_or(value)
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    add(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
}

fn add(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // A text takes all that is written to it.
    let _ = writeln!(svg, "{line}");
}

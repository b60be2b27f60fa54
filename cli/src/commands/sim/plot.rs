//! The metrics over time as one picture: nodes known, peers, the distribution of degrees, and what
//! the adversary holds.

use peerage_sim::metrics::Sample;
use plotters::{
    coord::Shift,
    prelude::{
        BLACK, ChartBuilder, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _,
        IntoSegmentedCoord as _, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend,
        SegmentValue, SeriesLabelPosition, WHITE,
    },
};

use super::{
    export::{hundredths, share},
    setup::Setup,
};

/// Of one panel, in pixels.
const PANEL: (u32, u32) = (640, 360);

/// How much taller a panel is than its lines: the legend stands above them.
const HEADROOM: f64 = 1.4;

const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const ORANGE: RGBColor = RGBColor(0xd9, 0x6b, 0x0b);
const GREEN: RGBColor = RGBColor(0x2e, 0x7d, 0x32);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: its name, its colour, and its value at a sample.
type Line = (&'static str, RGBColor, fn(&Sample) -> f64);

/// A picture of a run, as SVG.
pub(super) fn draw(
    setup: &Setup,
    samples: &[Sample],
    degrees: &[u64],
    has_adversary: bool,
) -> Result<String, String> {
    let mut svg = String::new();
    draw_into(&mut svg, setup, samples, degrees, has_adversary)?;
    Ok(svg)
}

fn draw_into(
    svg: &mut String,
    setup: &Setup,
    samples: &[Sample],
    degrees: &[u64],
    has_adversary: bool,
) -> Result<(), String> {
    let rows = 2;
    let root = SVGBackend::with_string(svg, (2 * PANEL.0, rows * PANEL.1 + 48)).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let caption = setup.caption();
    let root = root.titled(&caption, ("sans-serif", 24)).map_err(text)?;
    let panels = root.split_evenly((2, 2));
    lines(
        &panels[0],
        "Nodes known",
        "nodes in the table",
        samples,
        &[
            ("mean", BLUE, |it| hundredths(it.known_mean)),
            ("fewest", ORANGE, |it| whole(it.known_min)),
        ],
    )?;
    lines(
        &panels[1],
        "Peers of a node",
        "peers",
        samples,
        &[
            ("most", GREEN, |it| whole(it.peers_max)),
            ("mean", BLUE, |it| hundredths(it.peers_mean)),
            ("fewest", ORANGE, |it| whole(it.peers_min)),
        ],
    )?;
    bars(&panels[2], degrees)?;
    if has_adversary {
        lines(
            &panels[3],
            "Held by the adversary",
            "share, in %",
            samples,
            &[
                ("of all tables", BLUE, |it| 100.0 * share(it.adversary_tables)),
                ("of all peers", ORANGE, |it| 100.0 * share(it.adversary_peers)),
            ],
        )?;
    } else {
        lines(
            &panels[3],
            "Nodes that run",
            "nodes",
            samples,
            &[
                ("all", BLUE, |it| whole(it.nodes)),
                ("without peers", ORANGE, |it| whole(it.lonely)),
            ],
        )?;
    }
    root.present().map_err(text)
}

fn lines(
    area: &Area<'_>,
    title: &str,
    unit: &str,
    samples: &[Sample],
    of: &[Line],
) -> Result<(), String> {
    let minutes = |sample: &Sample| whole(sample.seconds) / 60.0;
    let end = samples.last().map_or(1.0, minutes).max(0.1);
    let values = samples.iter().flat_map(|sample| of.iter().map(|(_, _, value)| value(sample)));
    let top = values.fold(0.0, f64::max).max(1.0) * HEADROOM;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18).into_font().color(&BLACK))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("minutes of virtual time")
        .y_desc(unit)
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .draw()
        .map_err(text)?;
    for (name, colour, value) in of {
        let points = samples.iter().map(|sample| (minutes(sample), value(sample)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .map_err(text)?
            .label(*name)
            .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 13))
        .draw()
        .map_err(text)?;
    Ok(())
}

fn bars(area: &Area<'_>, degrees: &[u64]) -> Result<(), String> {
    let last = u32::try_from(degrees.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let top = degrees.iter().copied().max().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(area)
        .caption("Peers of a node, at the end", ("sans-serif", 18).into_font().color(&BLACK))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d((0..last).into_segmented(), 0..top + top.div_ceil(10))
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("peers")
        .y_desc("nodes")
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_label_formatter(&|at| match at {
            SegmentValue::Exact(at) | SegmentValue::CenterOf(at) => at.to_string(),
            SegmentValue::Last => String::new(),
        })
        .draw()
        .map_err(text)?;
    let bars = (0..).zip(degrees).filter(|(_, count)| **count > 0).map(|(degree, count)| {
        let (left, right) = (SegmentValue::Exact(degree), SegmentValue::Exact(degree + 1));
        let mut bar = Rectangle::new([(left, 0), (right, *count)], BLUE.mix(0.8).filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    });
    chart.draw_series(bars).map_err(text)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// A number without decimals that say nothing.
fn short(number: &f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

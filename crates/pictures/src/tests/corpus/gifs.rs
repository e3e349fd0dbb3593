//! GIFs, all of sixteen colours.

use gif::{DisposalMethod, Encoder, Frame};

use super::*;

pub(super) fn pictures() -> Vec<Picture> {
    let mut pictures = of_every_kind();
    let sized = |dimensions: (u32, u32)| {
        let file = gif(dimensions, &[&frame(dimensions)]);
        shows(format!("GIF of {}x{}", dimensions.0, dimensions.1), file, dimensions, TILES, EXACT)
    };
    pictures.extend(UNUSUAL.map(sized));
    pictures
}

fn of_every_kind() -> Vec<Picture> {
    let whole = frame(USUAL);
    let black = Frame { buffer: vec![7; whole.buffer.len()].into(), ..whole.clone() };
    let interlaced = Frame { buffer: interlace(&whole).into(), interlaced: true, ..whole.clone() };
    // What lies to the right of the canvas or below it does not show.
    let cut_off = (USUAL.0 / 2, USUAL.1 / 2);
    let own_palette = Frame { palette: Some(palette(16)), ..whole.clone() };
    let wide_palette = Frame { palette: Some(palette(256)), ..whole.clone() };
    let see_through = Frame { transparent: Some(4), ..whole.clone() };
    let mut hidden = TILES;
    hidden[4].0[3] = 0;
    let mut old = gif(USUAL, &[&whole]);
    let control = find_control(&old);
    old.drain(control..control + 8);
    old[4] = b'7';
    vec![
        shows("GIF", gif(USUAL, &[&whole]), USUAL, TILES, EXACT),
        shows("GIF87a", old, USUAL, TILES, EXACT),
        shows("GIF, interlaced", gif(USUAL, &[&interlaced]), USUAL, TILES, EXACT),
        shows("GIF, a palette of the frame's own", gif(USUAL, &[&own_palette]), USUAL, TILES, EXACT),
        shows("GIF, a palette of 256", gif(USUAL, &[&wide_palette]), USUAL, TILES, EXACT),
        shows("GIF, one colour transparent", gif(USUAL, &[&see_through]), USUAL, hidden, EXACT),
        shows("GIF, animated", gif(USUAL, &[&whole, &black]), USUAL, TILES, EXACT),
        lower_right(),
        shows("GIF, larger than its canvas", gif(cut_off, &[&whole]), cut_off, first_quarter(), EXACT),
        shows(
            "GIF, libgif's interlaced",
            include_bytes!("fixtures/interlaced.gif").to_vec(),
            USUAL,
            TILES,
            EXACT,
        ),
    ]
}

fn find_control(gif: &[u8]) -> usize {
    gif.windows(3).position(|bytes| bytes == [0x21, 0xf9, 4]).unwrap()
}

fn palette(colours: usize) -> Vec<u8> {
    let mut palette: Vec<u8> = TILES.iter().flat_map(|tile| [tile.0[0], tile.0[1], tile.0[2]]).collect();
    palette.resize(3 * colours, 0);
    palette
}

fn frame((width, height): (u32, u32)) -> Frame<'static> {
    let indices = (0..height).flat_map(|y| (0..width).map(move |x| tile_at((x, y), (width, height)) as u8));
    Frame {
        width: width as u16,
        height: height as u16,
        buffer: indices.collect(),
        dispose: DisposalMethod::Keep,
        ..Frame::default()
    }
}

fn gif((width, height): (u32, u32), frames: &[&Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u16, height as u16, &palette(16)).unwrap();
    for frame in frames {
        encoder.write_frame(frame).unwrap();
    }
    drop(encoder);
    file
}

/// The rows in the order of the four passes.
fn interlace(frame: &Frame) -> Vec<u8> {
    let rows: Vec<&[u8]> = frame.buffer.chunks(usize::from(frame.width)).collect();
    let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
    passes
        .into_iter()
        .flat_map(|(first, step)| rows.iter().skip(first).step_by(step))
        .copied()
        .flatten()
        .copied()
        .collect()
}

/// A quarter of the scene, on the rest of which there is nothing.
fn lower_right() -> Picture {
    let (canvas, half) = ((800, 800), 400);
    let indices = (half..800).flat_map(|y| (half..800).map(move |x| tile_at((x, y), canvas) as u8));
    let part = Frame { left: 400, top: 400, buffer: indices.collect(), ..frame((half, half)) };
    let mut tiles = [Rgba([0; 4]); 16];
    for i in [10, 11, 14, 15] {
        tiles[i] = TILES[i];
    }
    shows("GIF, a frame on a part of its canvas", gif(canvas, &[&part]), canvas, tiles, EXACT)
}

fn first_quarter() -> Tiles {
    std::array::from_fn(|i| TILES[i / 8 * 4 + i % 4 / 2])
}

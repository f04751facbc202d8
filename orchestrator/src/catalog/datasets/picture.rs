//! A picture's file to the bytes that a network takes.

use std::io::Cursor;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::jpeg;
use crate::domain::{Preprocessing, ResizeFilter, ResizeRule};

/// Largest side of a picture.
const MAX_SIDE: u32 = 1 << 15;
/// Most memory that decoding a picture may take.
const MAX_DECODED_BYTES: u64 = 1 << 30;

/// A picture, as a network takes it.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    /// Height × width × channels bytes.
    pub(super) bytes: Vec<u8>,
    /// What was done to it besides.
    pub(super) changed: Vec<&'static str>,
}

/// Decodes a picture and gives it the size and the channels of an input; in words, why it is left out.
pub(super) fn take(file: &[u8], rule: &Preprocessing, shape: [u32; 3]) -> Result<Taken, String> {
    let (picture, mut changed) = decode(file, rule.exif_orientation)?;
    let [height, width, channels] = shape;
    let picture = resized(picture, rule, height, width)?;
    let bytes = match channels {
        1 => {
            changed.extend(picture.color().has_color().then_some("colours made grey"));
            grey(picture)
        }
        3 => {
            changed.extend((!picture.color().has_color()).then_some("grey made RGB"));
            picture.into_rgb8().into_raw()
        }
        other => return Err(format!("no picture has the {other} channels of the input")),
    };
    Ok(Taken { bytes, changed })
}

/// The brightness of each pixel, as Pillow's `convert("L")` and TensorFlow weigh colours (Rec. 601): what networks for
/// grey pictures are trained on.
fn grey(picture: DynamicImage) -> Vec<u8> {
    let brightness = |image::Rgb([red, green, blue]): &image::Rgb<u8>| {
        let weighed = 19595 * u32::from(*red) + 38470 * u32::from(*green) + 7471 * u32::from(*blue);
        ((weighed + (1 << 15)) >> 16) as u8
    };
    match picture {
        DynamicImage::ImageLuma8(grey) => grey.into_raw(),
        coloured => coloured.into_rgb8().pixels().map(brightness).collect(),
    }
}

fn decode(file: &[u8], exif_orientation: bool) -> Result<(DynamicImage, Vec<&'static str>), String> {
    let mut changed = Vec::new();
    match image::guess_format(file) {
        Ok(ImageFormat::Jpeg) => {
            let jpeg = jpeg::walk(file).ok_or("neither JPEG nor PNG")?;
            if !jpeg.is_whole {
                return Err("JPEG that is cut off".to_owned());
            }
            if jpeg.components > 3 {
                return Err("JPEG in CMYK, whose colours depend on ink and paper".to_owned());
            }
        }
        Ok(ImageFormat::Png) => {}
        _ => return Err("neither JPEG nor PNG".to_owned()),
    }
    let broken = |error: image::ImageError| format!("not decodable ({})", first_words(&error.to_string()));
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if orientation != Orientation::NoTransforms && exif_orientation {
        picture.apply_orientation(orientation);
        changed.push("turned as its EXIF data say");
    } else if orientation != Orientation::NoTransforms {
        changed.push("not turned as its EXIF data say, as in training");
    }
    let colours = picture.color();
    if matches!(colours, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16) {
        changed.push("16 bits made 8");
    }
    if colours.has_alpha() {
        changed.push("transparency dropped");
    }
    // Before it is resized: what is transparent has a colour too, and its pixels would weigh nothing.
    let picture = match (colours.has_color(), colours.channel_count()) {
        (true, _) => DynamicImage::ImageRgb8(picture.into_rgb8()),
        (false, _) => DynamicImage::ImageLuma8(picture.into_luma8()),
    };
    Ok((picture, changed))
}

/// An error's first words: without the numbers that would make each a kind of its own.
fn first_words(error: &str) -> &str {
    let end = error.find([':', '\n', '(', '`']).unwrap_or(error.len());
    error[..end].trim_end()
}

fn resized(picture: DynamicImage, rule: &Preprocessing, height: u32, width: u32) -> Result<DynamicImage, String> {
    let filter = match rule.filter {
        ResizeFilter::Bilinear => FilterType::Triangle,
        ResizeFilter::Bicubic => FilterType::CatmullRom,
    };
    let (w, h) = picture.dimensions();
    match rule.resize {
        ResizeRule::None if (w, h) == (width, height) => Ok(picture),
        ResizeRule::None => Err(format!("not {width}×{height}, and the model's preprocessing does not resize")),
        // torchvision's Resize and CenterCrop: the longer side is cut to whole pixels, the margin rounded to even.
        ResizeRule::ShorterSide(side) => {
            let long = |longer: u32, shorter: u32| u64::from(side) * u64::from(longer) / u64::from(shorter.max(1));
            let (new_w, new_h) = if w <= h { (side.into(), long(h, w)) } else { (long(w, h), side.into()) };
            let fits = |size: u64| u32::try_from(size).ok().filter(|size| *size <= MAX_SIDE);
            let (Some(new_w), Some(new_h)) = (fits(new_w), fits(new_h)) else {
                return Err("so narrow that it can't be resized".to_owned());
            };
            let whole = picture.resize_exact(new_w, new_h, filter);
            Ok(whole.crop_imm(margin(new_w, width), margin(new_h, height), width, height))
        }
        ResizeRule::Crop(share) => {
            let scale = f64::from(w) / f64::from(width);
            let scale = scale.min(f64::from(h) / f64::from(height)) * share;
            let side = |size: u32, most: u32| ((f64::from(size) * scale).round() as u32).clamp(1, most);
            let (cut_w, cut_h) = (side(width, w), side(height, h));
            let part = picture.crop_imm(margin(w, cut_w), margin(h, cut_h), cut_w, cut_h);
            Ok(part.resize_exact(width, height, filter))
        }
    }
}

/// What lies before the middle part of a side, as Python rounds it: a half to the even number.
fn margin(side: u32, part: u32) -> u32 {
    (f64::from(side.saturating_sub(part)) / 2.0).round_ties_even() as u32
}

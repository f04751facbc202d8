use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::domain::{
    DatasetOrigin, JobDataset, LabelColumn, PreparedImages, Preprocessing, Remark, ResizeFilter, ResizeRule,
};

mod doubts;

const COLOURS: &[u8] = include_bytes!("samples/colours.png");
const JPEG: &[u8] = include_bytes!("samples/colours.jpg");

fn far() -> Instant {
    Instant::now() + std::time::Duration::from_secs(60)
}

fn rule(resize: ResizeRule, filter: ResizeFilter) -> Preprocessing {
    Preprocessing { resize, filter, exif_orientation: false, mean: vec![0.0; 3], std: vec![255.0; 3] }
}

fn crop() -> Preprocessing {
    rule(ResizeRule::Crop(0.875), ResizeFilter::Bicubic)
}

fn dataset(origin: DatasetOrigin, classes: Option<u32>) -> CatalogDataset {
    let name = "pictures".to_owned();
    CatalogDataset { title: name.clone(), name, source: None, licence: None, classes, origin, list: None }
}

/// A dataset's folder, and the cache.
struct Scratch {
    folder: tempfile::TempDir,
    datasets: Datasets,
}

impl Scratch {
    fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        let datasets = Datasets::new(folder.path().join("cache"));
        Scratch { folder, datasets }
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn prepare(&self, dataset: &CatalogDataset, preprocessing: Preprocessing, shape: [u32; 3]) -> PreparedImages {
        let list = self.datasets.list(dataset, far(), &mut |_| {}).unwrap();
        let job = job(&list, preprocessing, shape);
        self.datasets.prepare(dataset, &job, far(), &mut |_| {}).unwrap()
    }

    fn labels(&self, prepared: &PreparedImages) -> Vec<u32> {
        let bytes = fs::read(self.folder.path().join("cache").join(&prepared.labels_sha256)).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|class| u32::from_le_bytes(*class)).collect()
    }
}

fn job(list: &DatasetList, preprocessing: Preprocessing, shape: [u32; 3]) -> JobDataset {
    let (name, list_sha256) = ("pictures".to_owned(), list.sha256.clone());
    let (images, classes) = (list.images, list.classes);
    JobDataset {
        name,
        list_sha256,
        images,
        classes,
        label_offset: 0,
        scores: None,
        shape,
        preprocessing,
        prepared: None,
    }
}

fn said(remarks: &[Remark]) -> Vec<(&str, u32, &str)> {
    remarks.iter().map(|remark| (remark.what.as_str(), remark.count, remark.example.as_str())).collect()
}

#[test]
fn the_digits_that_come_with_farmctl() {
    let scratch = Scratch::new();
    let digits = dataset(DatasetOrigin::Builtin("digits".to_owned()), Some(10));
    let list = scratch.datasets.list(&digits, far(), &mut |_| {}).unwrap();
    assert_eq!((list.images, list.classes, list.empty_classes, list.doubts.len()), (360, 10, 0, 0));
    let rule = Preprocessing { mean: vec![0.0], std: vec![16.0], ..rule(ResizeRule::None, ResizeFilter::Bilinear) };
    let prepared = scratch.prepare(&digits, rule, [8, 8, 1]);
    assert_eq!((prepared.count, prepared.images.size_bytes), (360, 360 * 64));
    assert!(prepared.left_out.is_empty() && prepared.changed.is_empty());
    let bytes = fs::read(scratch.datasets.path(&prepared.images)).unwrap();
    assert_eq!((sha256_hex(&bytes), bytes.iter().max()), (prepared.images.sha256.clone(), Some(&16)));
    assert!((0..10).all(|digit| scratch.labels(&prepared).iter().filter(|label| **label == digit).count() > 30));
}

#[test]
fn sizes_change_as_in_pillow() {
    for (rule, expected) in [
        (
            rule(ResizeRule::ShorterSide(20), ResizeFilter::Bilinear),
            &include_bytes!("samples/pillow-shorter-side.png")[..],
        ),
        (crop(), &include_bytes!("samples/pillow-crop.png")[..]),
    ] {
        let taken = picture::take(COLOURS, &rule, [16, 16, 3]).unwrap().bytes;
        let expected = image::load_from_memory(expected).unwrap().into_rgb8().into_raw();
        let differences = taken.iter().zip(&expected).map(|(one, other)| one.abs_diff(*other));
        assert_eq!((taken.len(), differences.max()), (768, Some(1)), "{rule:?}");
    }
}

#[test]
fn every_kind_of_picture_is_taken_or_left_out_with_a_word() {
    let cut = &JPEG[..JPEG.len() - 40];
    let bad_png = [&COLOURS[..60], &[0; 40], &COLOURS[100..]].concat();
    type Case<'a> = (&'a [u8], Result<&'a [&'a str], &'a str>);
    let cases: [Case<'_>; 9] = [
        (COLOURS, Ok(&[])),
        (JPEG, Ok(&[])),
        (include_bytes!("samples/grey.jpg"), Ok(&["grey made RGB"])),
        (include_bytes!("samples/turned.jpg"), Ok(&["not turned as its EXIF data say, as in training"])),
        (include_bytes!("samples/grey16.png"), Ok(&["16 bits made 8", "grey made RGB"])),
        (include_bytes!("samples/clear.png"), Ok(&["transparency dropped"])),
        (include_bytes!("samples/cmyk.jpg"), Err("JPEG in CMYK")),
        (cut, Err("JPEG that is cut off")),
        (&bad_png, Err("not decodable")),
    ];
    for (file, expected) in cases {
        match (picture::take(file, &crop(), [16, 16, 3]), expected) {
            (Ok(taken), Ok(changed)) => assert_eq!((taken.bytes.len(), taken.changed.as_slice()), (768, changed)),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }
    for other in [&b"GIF89a"[..], b"text", b"", b"\xff\xd8\xff"] {
        assert!(picture::take(other, &crop(), [16, 16, 3]).is_err());
    }
    let small = picture::take(COLOURS, &rule(ResizeRule::None, ResizeFilter::Bilinear), [16, 16, 3]).unwrap_err();
    assert!(small.contains("not 16×16"), "{small}");
    let grey = picture::take(COLOURS, &crop(), [16, 16, 1]).unwrap();
    assert_eq!((grey.bytes.len(), grey.changed.as_slice()), (256, &["colours made grey"][..]));
    // As Pillow weighs them: Image.new("RGB", (1, 1), colour).convert("L").
    for (colour, expected) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 20, 240], 42)] {
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(1, 1, image::Rgb(colour)).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let as_it_is = rule(ResizeRule::None, ResizeFilter::Bilinear);
        assert_eq!(picture::take(png.get_ref(), &as_it_is, [1, 1, 1]).unwrap().bytes, [expected], "{colour:?}");
    }
}

#[test]
fn what_pictures_become() {
    // 16 bits: the upper 8 of each, row after row.
    let as_it_is = rule(ResizeRule::None, ResizeFilter::Bilinear);
    let grey = picture::take(include_bytes!("samples/grey16.png"), &as_it_is, [16, 16, 1]).unwrap().bytes;
    assert_eq!(grey, (0..=255).collect::<Vec<u8>>());
    // A quarter turn: what was wide is high, and the first row is the first column, from below.
    let by_exif = Preprocessing { exif_orientation: true, ..as_it_is.clone() };
    let turned = picture::take(include_bytes!("samples/turned.jpg"), &by_exif, [40, 30, 3]).unwrap();
    assert_eq!(turned.changed, ["turned as its EXIF data say"]);
    let turned = turned.bytes;
    assert!(picture::take(include_bytes!("samples/turned.jpg"), &as_it_is, [30, 40, 3]).is_ok(), "as training took it");
    let upright = picture::take(JPEG, &as_it_is, [30, 40, 3]).unwrap().bytes;
    assert_eq!(turned[..3], upright[29 * 40 * 3..][..3]);
    // As in Pillow, which gives colours that were kept for four pixels to each of them in another way.
    let close =
        |pixel: &[u8], expected: [u8; 3]| pixel.iter().zip(expected).all(|(one, other)| one.abs_diff(other) <= 3);
    assert!(close(&upright[..3], [5, 244, 91]) && close(&upright[upright.len() - 3..], [245, 15, 90]));
}

#[test]
fn pictures_of_folders_are_counted_whatever_they_are() {
    let scratch = Scratch::new();
    scratch.write("set/b/2.png", COLOURS);
    scratch.write("set/b/1.jpg", JPEG);
    scratch.write("set/a/cut.jpg", &JPEG[..200]);
    scratch.write("set/a/good.png", COLOURS);
    scratch.write("set/a/notes.txt", b"not a picture");
    scratch.write("set/a/.hidden", b"");
    scratch.write("set/a/inner/x.png", COLOURS);
    scratch.write("set/readme.txt", b"");
    scratch.write("outside.png", COLOURS);
    symlink(scratch.folder.path().join("outside.png"), scratch.folder.path().join("set/b/0.png")).unwrap();
    symlink("/nowhere", scratch.folder.path().join("set/b/gone.png")).unwrap();
    fs::create_dir(scratch.folder.path().join("set/c")).unwrap();
    let origin = DatasetOrigin::Folders { path: scratch.folder.path().join("set"), numbered: false };
    let set = dataset(origin, None);
    let list = scratch.datasets.list(&set, far(), &mut |_| {}).unwrap();
    assert_eq!((list.classes, list.empty_classes, list.images), (3, 1, 7));
    let prepared = scratch.prepare(&set, crop(), [16, 16, 3]);
    assert_eq!((prepared.count, scratch.labels(&prepared)), (3, vec![0, 1, 1]));
    assert_eq!(
        said(&prepared.left_out),
        [
            ("beside the folders of classes", 1, "readme.txt"),
            ("a folder inside a class's folder", 1, "inner"),
            ("JPEG that is cut off", 1, "a/cut.jpg"),
            ("neither JPEG nor PNG", 1, "a/notes.txt"),
            ("leads out of the dataset's folder", 1, "b/0.png"),
            ("not there", 1, "b/gone.png"),
        ]
    );
    assert_eq!(prepared.empty_classes, 1);
}

#[test]
fn a_dataset_is_what_its_images_are() {
    let scratch = Scratch::new();
    scratch.write("set/7/1.png", COLOURS);
    let numbered =
        |classes| dataset(DatasetOrigin::Folders { path: scratch.folder.path().join("set"), numbered: true }, classes);
    let list = |set: &CatalogDataset| scratch.datasets.list(set, far(), &mut |_| {});
    let before = list(&numbered(Some(8))).unwrap();
    assert_eq!((before.classes, before.empty_classes), (8, 7));
    assert!(list(&numbered(Some(7))).unwrap_err().to_string().contains("none of 7 classes"));
    let prepared = scratch.prepare(&numbered(Some(8)), crop(), [16, 16, 3]);
    assert_eq!(scratch.labels(&prepared), [7]);
    // Made once: the file is there, and the same is given again without a look at the picture.
    let job = job(&before, crop(), [16, 16, 3]);
    assert_eq!(
        scratch.datasets.prepare(&numbered(Some(8)), &job, far(), &mut |_| panic!("made anew")).unwrap(),
        prepared
    );
    scratch.write("set/7/1.png", JPEG);
    assert_ne!(list(&numbered(Some(8))).unwrap().sha256, before.sha256);
    let other = JobDataset { preprocessing: rule(ResizeRule::Crop(0.5), ResizeFilter::Bicubic), ..job };
    let error = scratch.datasets.prepare(&numbered(Some(8)), &other, far(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("changed since the plan"), "{error}");
}

#[test]
fn a_list_with_a_wrong_line_is_refused_at_the_line() {
    let scratch = Scratch::new();
    scratch.write("set/a picture.png", COLOURS);
    let of = |text: &str| {
        let path = scratch.write("val.txt", text.as_bytes());
        dataset(DatasetOrigin::List { path, folder: scratch.folder.path().join("set") }, Some(3))
    };
    let prepared = scratch.prepare(&of("a picture.png 2\n\nnot-there.png\t0\n"), crop(), [16, 16, 3]);
    assert_eq!((scratch.labels(&prepared), prepared.empty_classes), (vec![2], 1));
    assert_eq!(said(&prepared.left_out), [("not there", 1, "not-there.png")]);
    for (text, part) in [
        ("a picture.png 2\na picture.png 3\n", "val.txt:2: 3 is none of 3 classes"),
        ("a picture.png two\n", "val.txt:1: \"two\" is no number"),
        ("picture\n", "val.txt:1: a path and the number"),
        ("../outside.png 1\n", "does not stay in"),
        ("/etc/passwd 1\n", "does not stay in"),
        ("\n", "there is no image in it"),
    ] {
        let error = scratch.datasets.list(&of(text), far(), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn pictures_are_read_out_of_an_archive_and_nothing_is_unpacked() {
    let scratch = Scratch::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        // Not by set_path, which refuses what a hostile archive would have.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    add("./a.png", b"an older one");
    add("./a.png", COLOURS);
    add("in/b.jpg", JPEG);
    add("../c.png", COLOURS);
    add("not-in-the-list.png", COLOURS);
    let bytes = archive.into_inner().unwrap();
    let folder = scratch.write("val.tar", &bytes);
    let of = |text: &str| {
        let path = scratch.write("val.txt", text.as_bytes());
        dataset(DatasetOrigin::List { path, folder: folder.clone() }, Some(3))
    };
    let prepared = scratch.prepare(&of("a.png 1\nin/b.jpg 2\nd.png 0\n"), crop(), [16, 16, 3]);
    assert_eq!(
        (scratch.labels(&prepared), said(&prepared.left_out)),
        (vec![1, 2], vec![("not in the archive", 1, "d.png")])
    );
    let error = scratch.datasets.list(&of("../c.png 1\n"), far(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("does not stay in"), "{error}");
    let second = 512 + 512 + 512;
    scratch.write("val.tar", &bytes[..second + 700]);
    let error = scratch.datasets.list(&of("a.png 1\n"), far(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("val.tar: it is cut off in a.png"), "{error}");
}

#[test]
fn a_table_with_a_wrong_line_is_refused_at_the_line() {
    let scratch = Scratch::new();
    let of = |text: &str| {
        let origin = DatasetOrigin::Csv {
            path: scratch.write("t.csv", text.as_bytes()),
            shape: [1, 2, 1],
            skip: 1,
            label: None,
        };
        dataset(origin, Some(2))
    };
    let as_it_is = rule(ResizeRule::None, ResizeFilter::Bilinear);
    let prepared = scratch.prepare(&of("header\n1,255.0,0\n0,7,1\n"), as_it_is.clone(), [1, 2, 1]);
    assert_eq!(fs::read(scratch.datasets.path(&prepared.images)).unwrap(), [1, 255, 0, 7]);
    assert_eq!(scratch.labels(&prepared), [0, 1]);
    for (text, part) in [
        ("h\n1,2,0\n1,2\n", "t.csv:3: 2 columns"),
        ("h\n1;2;0\n", "t.csv:2: its values stand apart by ';'"),
        ("h\n1,2,2\n", "t.csv:2: 2 is none of 2"),
        ("h\n1,256,0\n", "no byte"),
        ("h\n1,0.5,0\n", "no byte"),
        ("h\n1,,0\n", "no byte"),
        ("h\n", "there is no image"),
    ] {
        let error = scratch.datasets.list(&of(text), far(), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let list = scratch.datasets.list(&of("h\n1,2,0\n"), far(), &mut |_| {}).unwrap();
    let other = job(&list, as_it_is, [2, 2, 1]);
    let error = scratch.datasets.prepare(&of("h\n1,2,0\n"), &other, far(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("all images are left out: 2×1"), "{error}");
}

/// A table of 40 images of 1 × 2 pixels and four classes, as these columns.
fn rows(columns: impl Fn([u32; 2], u32) -> String) -> String {
    (0..40).map(|index| columns([index % 7, u32::from(index == 3)], index % 4) + "\n").collect()
}

#[test]
fn the_class_of_a_row_stands_where_it_is_said_to() {
    let scratch = Scratch::new();
    let of = |text: &str, skip: u32, label: Option<LabelColumn>| {
        let origin =
            DatasetOrigin::Csv { path: scratch.write("t.csv", text.as_bytes()), shape: [1, 2, 1], skip, label };
        dataset(origin, Some(4))
    };
    let named = |name: &str| Some(LabelColumn::Named(name.to_owned()));
    let last = rows(|[a, b], class| format!("{a},{b},{class}"));
    let first = rows(|[a, b], class| format!("{class}.0,{a},{b}"));
    let middle = format!("p0,digit,p1\n{}", rows(|[a, b], class| format!("{a},{class},{b}")));
    let hashes = [
        (&last, 0, None),
        (&last, 0, Some(LabelColumn::Last)),
        (&first, 0, Some(LabelColumn::First)),
        (&middle, 0, named("digit")),
        (&middle, 1, named("digit")),
    ]
    .map(|(text, skip, label)| {
        let dataset = of(text, skip, label);
        let prepared = scratch.prepare(&dataset, rule(ResizeRule::None, ResizeFilter::Bilinear), [1, 2, 1]);
        (prepared.images.sha256, prepared.labels_sha256)
    });
    assert!(hashes.iter().all(|each| *each == hashes[0]), "{hashes:?}");
    let refused =
        |dataset: CatalogDataset| scratch.datasets.list(&dataset, far(), &mut |_| {}).unwrap_err().to_string();
    let zeros = first.replace(".0", "");
    for (text, skip, label, words) in [
        (&zeros, 0, None, "39 of 40 images are of class 0: the class is taken from the last column"),
        (&rows(|[a, b], class| format!("{class},{b},{}", a + 200)), 0, None, "`label:` names another one"),
        (&middle, 0, None, "t.csv:1: this is a header (p0, digit, p1), no image: write `skip: 1`, and `label: digit`"),
        (&format!("a,b,label\n{last}"), 0, None, "t.csv:1: this is a header (a, b, label), no image: write `skip: 1`"),
        (&format!("#,x,y\nlabel,0,1\n{first}"), 1, Some(LabelColumn::First), "t.csv:2: this is a header"),
        (&middle, 0, named("class"), "the first line has no column \"class\"; its columns are p0, digit, p1"),
    ] {
        let error = refused(of(text, skip, label));
        assert!(error.contains(words), "{words:?} in: {error}");
    }
    // Whoever says where the class stands knows that most are of one.
    let sure = of(&zeros, 0, Some(LabelColumn::Last));
    assert_eq!(scratch.datasets.list(&sure, far(), &mut |_| {}).unwrap().images, 40);
}

#[test]
fn the_end_of_a_jpeg_file_is_found_where_it_is() {
    let whole = jpeg::walk(JPEG).unwrap();
    assert_eq!((whole.components, whole.is_whole), (3, true));
    assert!(jpeg::walk(&[JPEG, b"rest"].concat()).unwrap().is_whole);
    for length in [JPEG.len() - 1, JPEG.len() / 2, 30, 4, 2] {
        assert!(!jpeg::walk(&JPEG[..length]).unwrap().is_whole, "{length}");
    }
    // An end inside a segment, as a thumbnail has one, is not the end.
    let comment = [&JPEG[..2], &[0xff, 0xfe, 0, 4, 0xff, 0xd9], &JPEG[2..JPEG.len() - 2]].concat();
    assert!(!jpeg::walk(&comment).unwrap().is_whole);
    assert_eq!(jpeg::walk(COLOURS), None);
}

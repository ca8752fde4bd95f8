"""ncnn on the CPU: one run for each image, in float32 as it was measured."""

from __future__ import annotations

from core.backends.ncnn import HALVES
from core.package.base import Snippet, cpp
from core.package.base.python import here, threads
from core.package.base.subject import Subject

RUN = """
def run(net, feeds):
    about = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    counts = {len(feeds[end["name"]]) for end in about["inputs"] if end["batch"]}
    if len(counts) > 1:
        sys.exit("the inputs hold different numbers of images")
    rows = [one(net, about, feeds, index) for index in range(max(counts, default=1))]
    return [
        np.concatenate(found) if end["batch"] else found[0]
        for end, found in zip(about["outputs"], zip(*rows))
    ]


def one(net, about, feeds, index):
    \"\"\"The outputs for one image of a batch, in the shapes and types of the ONNX model.\"\"\"
    extractor = net.create_extractor()
    for end in about["inputs"]:
        value = feeds[end["name"]]
        value = np.ascontiguousarray(value[index] if end["batch"] else value, np.float32)
        blob = ncnn.Mat(value.reshape(end["blob_shape"])).clone()  # memory that ncnn keeps
        if extractor.input(end["blob"], blob):
            sys.exit("ncnn did not take the input")
    found = []
    for end in about["outputs"]:
        code, blob = extractor.extract(end["blob"])
        if code:
            sys.exit("ncnn could not run the model")
        found.append(np.array(blob).reshape(end["shape"]).astype(end["type"]))
    return found
"""
CPP_LOAD = """static void load(ncnn::Net& net)
{{
    net.opt.num_threads = {threads};
    net.opt.use_vulkan_compute = false;
{halves}
    if (net.load_param({param}) || net.load_model({weights}))
        throw std::runtime_error("ncnn could not load the model");
}}

// Numbers in the shape of a blob, outermost axis first.
static ncnn::Mat blob(std::vector<float>& values, const cv::FileNode& shape)
{{
    std::vector<int> s;
    shape >> s;
    const ncnn::Mat flat(int(values.size()), values.data());
    switch (s.size()) {{
    case 1: return flat.reshape(s[0]);
    case 2: return flat.reshape(s[1], s[0]);
    case 3: return flat.reshape(s[2], s[1], s[0]);
    default: return flat.reshape(s[3], s[2], s[1], s[0]);
    }}
}}
"""
CPP_RUN = """    const cv::FileStorage about("model.json", cv::FileStorage::READ);
    const cv::FileNode end = about["inputs"][0];
    ncnn::Net net;
    load(net);
    ncnn::Extractor extractor = net.create_extractor();
    extractor.input(end["blob"].string().c_str(), blob(input, end["blob_shape"]));
    for (const cv::FileNode& out : about["outputs"]) {{
        ncnn::Mat found;
        if (extractor.extract(out["blob"].string().c_str(), found))
            throw std::runtime_error("ncnn could not run the model");
        found = found.reshape(found.w * found.h * found.d * found.c);
        show(found, size_t(found.w));
    }}"""


def load(subject: Subject) -> str:
    """A net."""
    weights = subject.file.replace(".param", ".bin")
    return "\n".join(
        [
            "def load():",
            '    """The model with the options that were measured."""',
            "    net = ncnn.Net()",
            f"    net.opt.num_threads = {threads(subject)}",
            "    net.opt.use_vulkan_compute = False",
            *(f"    net.opt.{name} = False" for name in HALVES),
            f"    if net.load_param({here(subject.file)}) or net.load_model({here(weights)}):",
            '        sys.exit("ncnn could not load the model")',
            "    return net",
        ]
    )


def load_in_cpp(subject: Subject) -> str:
    """The same in C++, with the shapes of blobs."""
    return CPP_LOAD.format(
        threads=cpp.threads(subject),
        halves="\n".join(f"    net.opt.{name} = false;" for name in HALVES),
        param=cpp.literal(subject.file),
        weights=cpp.literal(subject.file.replace(".param", ".bin")),
    )


SNIPPET = Snippet(
    distribution="ncnn",
    imports=("import ncnn",),
    load=load,
    run=lambda subject: RUN,
    one_image=True,
    programs=cpp.Runtime(
        include="ncnn/net.h",
        load=load_in_cpp,
        run=CPP_RUN,
        find="find_package(ncnn REQUIRED)",
        libraries=" ncnn",
        floats=True,
    ).programs(),
)

# SPDX-License-Identifier: MIT
"""examples/python/resnet.py: what it says of the C interface, errors, memory, training.

    test_resnet.py LIBRARY [unittest's arguments]     exit status 77 without NumPy
"""
import ctypes
import gc
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import weakref

SOURCE = pathlib.Path(os.environ.get("RESNET_SOURCE", pathlib.Path(__file__).parents[2]))
EXAMPLES = SOURCE / "examples" / "python"
if __name__ == "__main__" and len(sys.argv) > 1:
    os.environ["RESNET_LIBRARY"] = sys.argv.pop(1)
sys.dont_write_bytecode = True
sys.path.insert(0, str(EXAMPLES))
try:
    import numpy as np
except ImportError:
    print("NumPy is not installed")
    sys.exit(77)
import resnet
from headers import Headers

SHAPE = (4, 3, 8, 8)
# The library frees these lists, so the module keeps their addresses, where c_char_p would make copies.
LISTS = {("rn_load_options", field) for field in ("missing", "unexpected", "misshapen")}


class Interface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = Headers(SOURCE / "include" / "resnet", resnet)
        cls.hosts = Headers(SOURCE / "include" / "resnet", resnet, left_out=["backend.h", "dlpack.h"])

    def test_functions_are_declared_as_in_the_headers(self):
        expected = self.all.functions()
        self.assertGreater(len(expected), 150)
        self.assertEqual(sorted(expected), sorted(resnet.FUNCTIONS))
        for name, signature in expected.items():
            self.assertEqual(signature, resnet.FUNCTIONS[name], name)

    def test_functions_have_their_types(self):
        for name, (result, arguments) in resnet.FUNCTIONS.items():
            function = getattr(resnet.lib, name)
            self.assertIs(function.restype, result, name)
            self.assertEqual(list(function.argtypes), arguments, name)

    def test_exactly_statuses_are_checked(self):
        for name, result in self.all.results().items():
            checked = getattr(resnet.lib, name).__dict__.get("errcheck") or getattr(resnet.lib, name).errcheck
            self.assertEqual(bool(checked), result.strip() == "rn_status", name)

    def test_structs(self):
        ours = {name: value._fields_ for name, value in vars(resnet).items()
                if name.startswith("rn_") and getattr(value, "_fields_", None)}
        theirs = self.hosts.structs()
        self.assertEqual(sorted(theirs), sorted(ours))
        for name, fields in theirs.items():
            self.assertEqual([field for field, _ in fields], [field[0] for field in ours[name]], name)
            for (field, kind), (_, mine) in zip(fields, ours[name]):
                if kind is None:
                    self.assertTrue(issubclass(mine, ctypes._CFuncPtr), (name, field))
                else:
                    self.assertEqual(mine, ctypes.c_void_p if (name, field) in LISTS else kind, (name, field))

    def test_constants(self):
        expected = self.hosts.constants()
        self.assertGreater(len(expected), 60)
        for name, value in expected.items():
            if not re.match(r"RN_(VERSION|STATUS)_|RN_E_(?!USER)", name):
                self.assertEqual(getattr(resnet, name[len("RN_"):], None), value, name)

    def test_options_have_the_sizes_the_library_knows(self):
        for name in resnet.FUNCTIONS:
            if name.endswith("_options_init"):
                options = resnet._defaults(getattr(resnet, name[:-len("_init")]))
                self.assertEqual(options.struct_size, ctypes.sizeof(options), name)
        self.assertEqual(resnet._defaults(resnet.rn_sgd_options).momentum, 0.9)

    def test_another_type_of_handle_is_refused(self):
        with resnet.Context() as ctx:
            with self.assertRaises(ctypes.ArgumentError):
                resnet.lib.rn_model_zero_grad(ctx.pointer)


class WithContext(unittest.TestCase):
    def setUp(self):
        self.ctx = resnet.Context(threads=2, seed=3)
        self.cpu = self.ctx.device("cpu")

    def tearDown(self):
        self.ctx.close()

    def small_net(self):
        ctx = self.ctx
        main = ctx.sequential(ctx.conv2d(4, 4), ctx.batchnorm2d(4), ctx.relu(), ctx.conv2d(4, 4), ctx.batchnorm2d(4))
        return ctx.sequential(conv=ctx.conv2d(3, 4), bn=ctx.batchnorm2d(4), relu=ctx.relu(), block=ctx.residual(main),
                              pool=ctx.global_avgpool2d(), flatten=ctx.flatten(), fc=ctx.linear(4, 5))


class Errors(WithContext):
    def assert_error(self, name, text, function, *arguments, **named):
        with self.assertRaises(resnet.Error) as caught:
            function(*arguments, **named)
        self.assertEqual(caught.exception.name, name)
        self.assertIn(text, str(caught.exception))
        self.assertLess(caught.exception.status, 0)
        return caught.exception

    def test_name_and_message(self):
        self.assert_error("RN_E_NOT_FOUND", "tutorial", self.ctx.zoo, "resnet5000")
        self.assert_error("RN_E_INVALID", "", self.ctx.conv2d, 0, 4)
        self.assert_error("RN_E_DEVICE", "cpu", self.ctx.device, "abacus:7")
        self.assert_error("RN_E_NOT_FOUND", "data_batch_1", self.ctx.cifar10, "/nowhere")

    def test_shapes_name_the_layer(self):
        layer = self.ctx.sequential(conv=self.ctx.conv2d(3, 8), fc=self.ctx.linear(8, 2))
        self.assert_error("RN_E_SHAPE", "fc", layer.output_shape, (1, 3, 8, 8))

    def test_an_output_of_another_shape(self):
        with resnet.Model(self.small_net()) as model, resnet.Plan(model, (2, 3, 8, 8)) as plan:
            self.assert_error("RN_E_SHAPE", "", plan.forward, np.zeros((2, 3, 8, 7), np.float32))
            self.assert_error("RN_E_INVALID", "3", plan.forward, np.zeros((3, 3, 8, 8), np.float32))
            self.assert_error("RN_E_SHAPE", "", plan.forward, np.zeros((2, 3, 8, 8), np.float32),
                              np.zeros((2, 4), np.float32))

    def test_labels_out_of_range_change_nothing(self):
        with resnet.Model(self.small_net()) as model:
            optimizer = model.sgd()
            plan = resnet.Plan(model, (2, 3, 8, 8), train=True, loss=self.ctx.cross_entropy(), optimizer=optimizer)
            before = model["fc.weight"].value.read()
            self.assert_error("RN_E_INVALID", "5", plan.train_step, np.ones((2, 3, 8, 8), np.float32), [0, 5])
            np.testing.assert_array_equal(before, model["fc.weight"].value.read())

    def test_a_closed_object(self):
        model = resnet.Model(self.small_net())
        model.close()
        model.close()
        self.assert_error("RN_E_INVALID", "NULL", model.zero_grad)

    def test_arrays_that_cannot_be_wrapped(self):
        for array in (np.zeros((4, 4), np.float32)[:, ::2], np.zeros(3, np.complex64), np.broadcast_to(np.float32(1), 4)):
            with self.assertRaises(ValueError):
                resnet.Tensor.wrap(self.cpu, array)

    def test_report_of_loading(self):
        with tempfile.TemporaryDirectory() as folder, resnet.Model(self.small_net()) as model:
            path = os.path.join(folder, "small.safetensors")
            model.save(path)
            other = resnet.Model(self.ctx.sequential(conv=self.ctx.conv2d(3, 4), last=self.ctx.conv2d(4, 1)))
            error = self.assert_error("RN_E_NOT_FOUND", "", other.load, path)
            self.assertEqual(error.report.missing, ["last.weight"])
            self.assertIn("fc.bias", error.report.unexpected)
            self.assertEqual(other.load(path, partial=True).missing, ["last.weight"])
            error = self.assert_error("RN_E_SHAPE", "last.weight", other.load, path, renames=[("block.0", "last")])
            self.assertEqual((len(error.report.misshapen), error.report.missing), (1, []))

    def test_exceptions_stay_out_of_c(self):
        def read(index):
            raise RuntimeError("index %d" % index)
        dataset = self.ctx.custom_dataset(read, 4, 2, (1, 2, 2))
        self.assert_error("RN_E_USER", "", next, iter(dataset.loader(2)))


class Arrays(WithContext):
    def test_no_copy(self):
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        tensor = resnet.Tensor.wrap(self.cpu, array)
        view = tensor.numpy()
        array[1, 2] = 50
        self.assertEqual(view[1, 2], 50)
        view[0, 0] = -1
        self.assertEqual(array[0, 0], -1)
        self.assertEqual(tensor.slice(1, 1).numpy().tolist(), [[3, 4, 50]])

    def test_a_view_keeps_its_tensor(self):
        view = resnet.Tensor.create(self.cpu, (100, 100)).numpy()
        gc.collect()
        view += 1
        self.assertEqual(view.sum(), 10000)

    def test_every_dtype_and_rank(self):
        for dtype in resnet.CODES:
            for shape in ((), (3,), (2, 0), (2, 1, 3)):
                tensor = resnet.Tensor.create(self.cpu, shape, dtype)
                values = np.ones(shape, dtype)
                tensor.write(values)
                np.testing.assert_array_equal(tensor.read(), values)
                self.assertEqual((tensor.shape, tensor.read().dtype), (shape, dtype))

    def test_weights_are_used_where_they_lie(self):
        with resnet.Model(self.ctx.linear(2, 1)) as model, resnet.Plan(model, (1, 2)) as plan:
            model["weight"].value.numpy()[:] = [[2, 3]]
            model["bias"].value.numpy()[:] = 1
            model.mark_written()
            self.assertEqual(plan.forward([[10, 1]]).tolist(), [[24]])

    def test_input_of_other_types_is_converted(self):
        with resnet.Model(self.ctx.relu()) as model, resnet.Plan(model, (2, 2)) as plan:
            self.assertEqual(plan.forward(np.array([[-1, 2], [3, -4]])).tolist(), [[0, 2], [3, 0]])
            fortran = np.asfortranarray(np.array([[-1, 2], [3, -4]], np.float32))
            self.assertEqual(plan.forward(fortran).tolist(), [[0, 2], [3, 0]])
            y = np.empty((2, 2), np.float32)
            self.assertIs(plan.forward(fortran, y), y)

    def test_bf16(self):
        with resnet.Model(self.ctx.relu()) as model, resnet.Plan(model, (1, 3, 2, 2), dtype="bf16") as plan:
            x = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1] * 4, np.float32).reshape(1, 3, 2, 2)
            y = plan.forward(x)
            self.assertEqual(y.dtype, np.float32)
            self.assertEqual(sorted(set(y.ravel().tolist())), [0, 1, 1 + 2**-6])  # ties to even
            plan.input().write(x)
            self.assertEqual(plan.input().dtype, resnet.BF16)
            self.assertEqual(np.maximum(plan.input().read(), 0).tolist(), y.tolist())
            self.assertEqual(plan.forward(plan.input()).tolist(), y.tolist())


    def test_f16(self):
        for dtype in ("f16", np.float16):
            with resnet.Model(self.ctx.relu()) as model, resnet.Plan(model, (1, 3, 2, 2), dtype=dtype) as plan:
                x = np.array([1 + 2**-11, 1 + 3 * 2**-11, 1e6] * 4, np.float32).reshape(1, 3, 2, 2)
                y = plan.forward(x)
                self.assertEqual(y.dtype, np.float32)
                self.assertEqual(sorted(set(y.ravel().tolist())), [1, 1 + 2**-9, np.inf])  # ties to even
                plan.input().write(x)
                self.assertEqual(plan.input().dtype, resnet.F16)
                self.assertEqual(plan.forward(plan.input()).tolist(), y.tolist())


class Use(WithContext):
    def test_the_library_tells_about_itself(self):
        self.assertEqual(resnet.version(), "0.1.0")
        self.assertIn("tutorial", resnet.zoo_names())
        self.assertEqual((self.ctx.threads, self.ctx.seed), (2, 3))
        self.assertEqual(self.cpu.name, "cpu")
        self.assertIn(self.cpu.cpu_level, (resnet.CPU_BASE, resnet.CPU_AVX2, resnet.CPU_AVX512, resnet.CPU_AVX512BF16))
        self.assertGreater(self.cpu.memory()[1], 1 << 20)
        self.assertIn("cpu", [device.name for device in self.ctx.devices()])

    def test_model(self):
        with resnet.Model(self.ctx.zoo("cifar_resnet20")) as model:
            self.assertEqual(model.parameter_count(), 269722)
            self.assertEqual(model.set_trainable("layer1.*", False), 18)
            self.assertLess(model.parameter_count(trainable_only=True), 269722)
            self.assertEqual(next(iter(model)).name, "conv1.weight")
            self.assertEqual(model["fc.bias"].value.shape, (10,))
            self.assertFalse(model["layer1.0.conv1.weight"].trainable)
            self.assertIn("269722", model.summary((1, 3, 32, 32)).replace(",", ""))
            picture = model.dot((1, 3, 32, 32), name="net", flags=resnet.DOT_NAMES)
            self.assertIn('label="3x3 conv, 64, /2\\nlayer3.0.conv1"', picture)
            self.assertAlmostEqual(model.macs((1, 3, 32, 32)) / 1e6, 40.55, delta=0.1)
            twin = model.copy()
            model.init(99)
            self.assertTrue((twin["fc.weight"].value.read() != model["fc.weight"].value.read()).any())

    def test_softmax_and_topk(self):
        logits = np.array([[1, 3, 2], [0, 0, 5]], np.float32)
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(resnet.softmax(self.cpu, logits), expected, rtol=1e-6)
        self.assertEqual([resnet.topk(self.cpu, logits, [2, 2], k) for k in (1, 2, 3)], [1, 2, 2])

    def test_losses(self):
        value, gradient = self.ctx.mse().compute(np.array([[1, 2]], np.float32), [[0, 0]], self.cpu)
        self.assertEqual((value, gradient.tolist()), (2.5, [[1, 2]]))
        value, gradient = self.ctx.cross_entropy().compute(np.zeros((1, 2), np.float64), [1], self.cpu)
        self.assertAlmostEqual(value, np.log(2), places=6)
        self.assertEqual(gradient.tolist(), [[0.5, -0.5]])
        value, gradient = self.ctx.cross_entropy().compute(np.zeros((1, 2), np.float32), [[0.25, 0.75]], self.cpu)
        self.assertAlmostEqual(value, np.log(2), places=6)
        self.assertEqual(gradient.tolist(), [[0.25, -0.25]])

    def test_own_loop(self):
        with resnet.Model(self.small_net()) as model:
            plan = resnet.Plan(model, SHAPE, train=True, flags=resnet.PLAN_INPUT_GRAD)
            x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
            loss, optimizer, values = self.ctx.cross_entropy(), model.sgd(lr=0.1), []
            for _ in range(10):
                model.zero_grad()
                value, dy = loss.compute(plan.forward(x), [0, 1, 2, 3], self.cpu)
                dx = np.full(SHAPE, np.nan, np.float32)
                plan.backward(dy, dx)
                self.assertGreater(model.clip_grad_norm(10.0), 0)
                optimizer.step()
                values.append(value)
            self.assertTrue(np.isfinite(dx).all())
            self.assertLess(values[-1], values[0])
            self.assertEqual(optimizer.steps, 10)

    def test_plan_tells_about_itself(self):
        with resnet.Model(self.small_net()) as model, resnet.Plan(model, (2, 3, 8, 8)) as plan:
            self.assertEqual(plan.output_shape(1), (1, 5))
            self.assertGreaterEqual(plan.memory().arena, plan.memory().lower_bound)
            self.assertIn("conv", plan.describe())
            plan.set_profiling(True)
            plan.forward(np.zeros((2, 3, 8, 8)))
            self.assertIn("ms", plan.profile())
            plan.set_profiling(False)
            source = plan.input()
            source.write(np.ones((2, 3, 8, 8)))
            np.testing.assert_array_equal(plan.forward(source), plan.forward(np.ones((2, 3, 8, 8))))

    def test_statistics(self):
        with resnet.Model(self.small_net()) as model, resnet.Plan(model, SHAPE, statistics=True) as plan:
            batches = np.random.default_rng(1).normal(size=(3,) + SHAPE).astype(np.float32)
            plan.update_statistics(batches[0])
            model.reset_statistics()
            for batch in batches:
                plan.update_statistics(batch)
            counts = [state.value.read() for state in model if state.name.endswith("num_batches_tracked")]
            self.assertEqual(set(map(int, counts)), {3})

    def test_schedules(self):
        with resnet.Model(self.ctx.linear(1, 1)) as model:
            optimizer = model.sgd()
            steps = self.ctx.schedule("multistep", lr=1.0, gamma=0.5, milestones=[2, 3])
            self.assertEqual([steps.lr(i) for i in range(5)], [1, 1, 0.5, 0.25, 0.25])
            self.ctx.warmup(steps, start_factor=0.5, steps=2).apply(1, optimizer)
            self.assertEqual(optimizer.lr, 0.75)
            hold = self.ctx.hold(steps, factor=0.25)
            self.assertEqual(hold.lr(0), 0.25)
            hold.observe(0.7)
            self.assertEqual(hold.lr(0), 1)
            self.assertEqual(model.sgd().exclude_from_decay(), 1)
            plateau = self.ctx.schedule("plateau", lr=1.0, factor=0.1, patience=0)
            for metric in (1.0, 2.0):
                plateau.observe(metric)
            plateau.apply(0, optimizer)
            self.assertAlmostEqual(optimizer.lr, 0.1)

    def test_loader(self):
        images = np.arange(5 * 3 * 4 * 4, dtype=np.float32).reshape(5, 3, 4, 4)
        dataset = self.ctx.array_dataset(images, [0, 1, 2, 1, 0])
        self.assertEqual((len(dataset), dataset.classes, dataset.describe().height), (5, 3, 4))
        loader = dataset.loader(2, transform=self.ctx.transform().normalize([1] * 3, [2] * 3))
        for _ in range(2):
            batches = [(x.numpy().copy(), y.numpy().copy()) for x, y in loader]
            self.assertEqual([len(x) for x, _ in batches], [2, 2, 1])
            np.testing.assert_allclose(np.concatenate([x for x, _ in batches]), (images - 1) / 2)
            self.assertEqual(np.concatenate([y for _, y in batches]).tolist(), [0, 1, 2, 1, 0])
        loader.seek(0, 2)
        self.assertEqual(loader.next()[1].numpy().tolist(), [0])
        x, y = dataset.loader(2, mixup=0.5).next()
        own = y.numpy()[0, 0]  # images 0 and 1, labels 0 and 1
        np.testing.assert_allclose(y.numpy(), [[own, 1 - own, 0], [1 - own, own, 0]], atol=1e-6)
        np.testing.assert_allclose(x.numpy()[1], own * images[1] + (1 - own) * images[0], rtol=1e-5)
        image, label = dataset.take(3).read(2)
        self.assertEqual((label, image.tolist()), (2, images[2].tolist()))

    def test_resident_loader(self):
        images = np.arange(5 * 3 * 4 * 4, dtype=np.uint8).reshape(5, 3, 4, 4)
        dataset = self.ctx.array_dataset(images, [0, 1, 2, 1, 0])
        transform = self.ctx.transform().random_hflip().normalize([1] * 3, [2] * 3)
        host, device = (dataset.loader(2, transform=transform, residency=name) for name in ("host", "device"))
        self.assertEqual(host.resident_bytes(), 0)
        self.assertGreater(device.resident_bytes(), images.nbytes)
        batches = [[(x.numpy().tolist(), y.numpy().tolist()) for x, y in loader] for loader in (host, device)]
        self.assertEqual(len(batches[0]), 3)
        self.assertEqual(*batches)

    def test_custom_dataset(self):
        dataset = self.ctx.custom_dataset(lambda index: (np.full((1, 2, 2), index), index % 3), 7, 3, (1, 2, 2))
        batches = [(x.read(), y.read().tolist()) for x, y in dataset.loader(4)]
        self.assertEqual(batches[1][1], [1, 2, 0])
        np.testing.assert_allclose(batches[0][0][3], np.full((1, 2, 2), 3 / 255), rtol=1e-6)

    def test_checkpoint(self):
        with tempfile.TemporaryDirectory() as folder, resnet.Model(self.small_net()) as model:
            path, optimizer = os.path.join(folder, "state"), model.adam()
            plan = resnet.Plan(model, SHAPE, train=True, loss=self.ctx.cross_entropy(), optimizer=optimizer)
            plan.train_step(np.ones(SHAPE), [0, 1, 2, 3])
            kept = model["fc.weight"].value.read()
            ema = resnet.Ema(model, decay=0.5)
            ema.update()
            resnet.save_checkpoint(path, self.ctx, model, optimizer, plan=plan, epoch=4, step=1, values=[0.5], ema=ema)
            plan.train_step(np.ones(SHAPE), [0, 1, 2, 3])
            ema.update()
            between = (kept + model["fc.weight"].value.read()) / 2
            np.testing.assert_allclose(ema.model["fc.weight"].value.read(), between, rtol=1e-5, atol=1e-7)
            epoch, step, values = resnet.load_checkpoint(path, self.ctx, model, optimizer, plan=plan, ema=ema)
            self.assertEqual(ema.updates, 1)
            np.testing.assert_array_equal(kept, ema.model["fc.weight"].value.read())
            self.assertEqual((epoch, step, values[0], optimizer.steps), (4, 1, 0.5, 1))
            np.testing.assert_array_equal(kept, model["fc.weight"].value.read())

    def test_log(self):
        lines = []
        with resnet.Context(threads=1, log=lambda level, text: lines.append(text), log_level=resnet.LOG_DEBUG) as ctx:
            resnet.Plan(resnet.Model(ctx.relu()), (1, 2))
        self.assertTrue(all(isinstance(line, str) for line in lines))


def resident():
    """Bytes of memory in use."""
    with open("/proc/self/statm", encoding="ascii") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Leaks(unittest.TestCase):
    """Each round makes some MB of everything; lost references would add up to hundreds."""
    rounds = 60

    def everything(self, close):
        ctx = resnet.Context(threads=2)
        model = resnet.Model(ctx.zoo("tutorial"))
        optimizer, loss = model.adam(), ctx.cross_entropy()
        plan = resnet.Plan(model, (4, 3, 16, 16), train=True, loss=loss, optimizer=optimizer)
        images, labels = np.zeros((64, 3, 16, 16), np.float32), np.zeros(64, np.int64)
        loader = ctx.array_dataset(images, labels).loader(4, workers=1)
        plan.train_step(*loader.next())
        states = list(model)
        with self.assertRaises(resnet.Error):
            ctx.zoo("")
        if close:
            for item in (ctx, states[0].value, plan, optimizer, loss, model, loader):
                item.close()
        return weakref.ref(images)

    def check(self, close):
        arrays = [self.everything(close) for _ in range(5)]
        gc.collect()
        before, kept = resident(), len(resnet._kept)
        arrays += [self.everything(close) for _ in range(self.rounds)]
        gc.collect()
        self.assertEqual([array() for array in arrays], [None] * len(arrays), "wrapped arrays are still referred to")
        self.assertEqual(len(resnet._kept), kept)
        self.assertLess(resident() - before, 24 << 20)

    def test_closed(self):
        self.check(True)

    def test_collected(self):
        self.check(False)

    def test_the_measure_can_fail(self):
        ctx = resnet.Context(threads=1)
        before, lost = resident(), []
        for _ in range(self.rounds):
            lost.append(resnet.Tensor.create(ctx.device("cpu"), (256, 1024)))
            lost[-1].numpy()[:] = 1
        self.assertGreater(resident() - before, 24 << 20)


class Training(unittest.TestCase):
    def test_train_digits(self):
        with tempfile.TemporaryDirectory() as folder:
            weights = pathlib.Path(folder) / "digits.safetensors"
            command = [sys.executable, "-B", str(EXAMPLES / "train_digits.py"), "--epochs", "3", "--images", "1000",
                       "--save", str(weights)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            losses = [float(value) for value in re.findall(r"training loss ([\d.]+)", output)]
            accuracies = [float(value) for value in re.findall(r"accuracy ([\d.]+)", output)]
            self.assertEqual(len(losses), 3, output)
            self.assertLess(losses[2], 0.75 * losses[0], output)
            self.assertGreater(accuracies[2], 50, output)
            self.assertGreater(weights.stat().st_size, 70000)


class Pictures(WithContext):
    def setUp(self):
        super().setUp()
        if "images" not in resnet.lib.rn_build_info(resnet.BUILD_FEATURES).decode().split():
            self.skipTest("the library was built without pictures")
        self.data = SOURCE / "tests" / "image" / "data"

    def test_one(self):
        picture = self.ctx.image(self.data / "interlaced.png")
        values = picture.numpy()
        np.testing.assert_array_equal(values, np.moveaxis(np.load(self.data / "interlaced.png.npy"), 2, 0))
        steps = self.ctx.transform().short_side(12).ten_crop(8, 8)
        self.assertEqual(steps.apply(picture).numpy().shape, (10, 3, 8, 8))
        with self.assertRaisesRegex(resnet.Error, "nowhere.png"):
            self.ctx.image("nowhere.png")

    def test_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, picture in (("b", "grey.png"), ("a", "grey.jpg"), ("a", "cmyk.jpg")):
                (pathlib.Path(folder) / name).mkdir(exist_ok=True)
                shutil.copy(self.data / picture, pathlib.Path(folder) / name)
            pictures = self.ctx.image_folder(folder)
            self.assertEqual((len(pictures), pictures.classes), (3, 2))
            self.assertEqual([pictures.class_name(i) for i in range(3)], ["a", "b", None])
            self.assertEqual(pictures.item_name(2), "b/grey.png")
            self.assertEqual(pictures.read_image(2)[1], 1)
            loader = pictures.loader(3, transform=self.ctx.transform().random_resized_crop(8, 8).random_hflip())
            images, labels = next(iter(loader))
            self.assertEqual(images.shape, (3, 3, 8, 8))
            self.assertEqual(sorted(labels.read()), [0, 0, 1])


if __name__ == "__main__":
    unittest.main(verbosity=1)

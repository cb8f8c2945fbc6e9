// SPDX-License-Identifier: MIT
// The same from C++11, with handles released by unique_ptr.
#include <resnet/resnet.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct Release {
    void operator()(rn_context *p) const { rn_context_release(p); }
    void operator()(rn_layer *p) const { rn_layer_release(p); }
    void operator()(rn_model *p) const { rn_model_release(p); }
    void operator()(rn_plan *p) const { rn_plan_release(p); }
    void operator()(rn_tensor *p) const { rn_tensor_release(p); }
};

template <typename T> using Handle = std::unique_ptr<T, Release>;

void must(rn_status status)
{
    if (status < 0)
        throw std::runtime_error(std::string(rn_status_name(status)) + ": " + rn_error_message());
}

template <typename T, typename Make> Handle<T> make(Make &&call)
{
    T *out = nullptr;
    must(call(&out));
    return Handle<T>(out);
}

void run()
{
    auto ctx = make<rn_context>([](rn_context **out) { return rn_context_create(nullptr, out); });
    rn_device *dev = nullptr;
    must(rn_context_find_device(ctx.get(), "cpu", &dev));
    auto net = make<rn_layer>([&](rn_layer **out) { return rn_zoo_create(ctx.get(), "tutorial", nullptr, out); });
    auto model = make<rn_model>([&](rn_model **out) { return rn_model_create(ctx.get(), net.get(), dev, out); });

    rn_plan_options options = RN_PLAN_OPTIONS_INIT;
    const int64_t dims[4] = {2, 3, 32, 32}, out_dims[2] = {2, 10};
    for (int i = 0; i < 4; i++)
        options.input_dims[i] = dims[i];
    auto plan = make<rn_plan>([&](rn_plan **out) { return rn_plan_create(model.get(), &options, out); });
    auto x = make<rn_tensor>([&](rn_tensor **out) { return rn_tensor_create(dev, RN_F32, 4, dims, out); });
    auto y = make<rn_tensor>([&](rn_tensor **out) { return rn_tensor_create(dev, RN_F32, 2, out_dims, out); });
    must(rn_plan_forward(plan.get(), x.get(), y.get()));

    std::vector<float> logits(20);
    must(rn_tensor_read(y.get(), logits.data(), logits.size() * sizeof(float)));
    for (std::size_t i = 0; i < 10; i++)
        if (logits[i] != logits[i + 10])
            throw std::runtime_error("equal images, different logits");
    std::printf("%lld parameters\n", static_cast<long long>(rn_model_parameter_count(model.get(), 0)));
}

} // namespace

int main()
{
    try {
        run();
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return 0;
}

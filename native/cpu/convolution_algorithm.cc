#include "convolution_algorithm.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "convolution_primitives.h"
#include "engine.h"
#include "space_to_depth.h"

namespace twotower {
namespace {

thread_local std::optional<Algorithm> preferred;
thread_local std::unordered_map<std::string, Choice> choices;

bool HasWinograd(Pass pass, const Geometry& g) {
  if (g.filter_height != 3 || g.filter_width != 3 || g.stride_height != 1 || g.stride_width != 1 ||
      g.dilation_height != 1 || g.dilation_width != 1) {
    return false;
  }
  try {
    switch (pass) {
      case Pass::kForward: MakeForward(g, false, false, Precision::kFloat32, true); break;
      case Pass::kInputGradient: MakeBackpropInput(g, Precision::kFloat32, true); break;
      case Pass::kFilterGradient: MakeBackpropFilter(g, false, Precision::kFloat32, true); break;
    }
    return true;
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return false;
  }
}

std::optional<Choice> FftChoice(Pass pass, const Geometry& g) {
  Choice choice{Algorithm::kFft, std::nullopt};
  if (pass == Pass::kInputGradient) {
    if (IsConvolutionOfGradient(g)) choice.plan = FftPlanOf(GradientGeometry(g));
  } else if (HasFewChannelsForItsStride(g)) {
    choice.plan = FftPlanOf(GeometryOfBlocks(g));
    choice.in_blocks = true;
  } else {
    choice.plan = FftPlanOf(g);
  }
  if (!choice.plan) return std::nullopt;
  choice.operations = choice.plan->operations;
  return choice;
}

double FftCost(Pass pass, const Choice& choice) {
  return pass == Pass::kFilterGradient ? choice.plan->filter_cost : choice.plan->forward_cost;
}

double RoundUp(int64_t value, int64_t multiple) {
  return static_cast<double>((value + multiple - 1) / multiple * multiple);
}

double Positions(const Geometry& g) {
  return static_cast<double>(g.batch) * g.out_height * g.out_width;
}

double Elements(const Geometry& g) {
  return static_cast<double>(ProductOf(g.InShape()) + ProductOf(g.OutShape()));
}

// The costs of oneDNN's algorithms in the unit of FftPlan, as its primitives of version 2.6 took them beside the FFT on a Zen 5 core,
// alone and with others; docs/benchmarks.md has the table.
double DirectCost(Pass pass, const Geometry& g, Precision precision) {
  constexpr int64_t kLanes = 16;
  const bool by_filter = pass == Pass::kFilterGradient;
  const double channels = pass == Pass::kInputGradient
                              ? RoundUp(g.in_channels, kLanes) * g.out_channels
                              : g.in_channels * RoundUp(g.out_channels, kLanes);
  const double products = 2 * Positions(g) * channels * g.filter_height * g.filter_width;
  const double speed = precision == Precision::kFloat32 ? 1 : Device::HasMatrixTiles() ? 6 : 1.9;
  return products / speed * (by_filter ? 1.13 : 1) + Elements(g) * (by_filter ? 150 : 75);
}

double DirectOperations(const Geometry& g) {
  return 2 * Positions(g) * g.in_channels * g.out_channels * g.filter_height * g.filter_width;
}

// Of F(4×4, 3×3): 36 products for 16 results, each a multiplication and an addition for every pair of channels.
double WinogradOperations(const Geometry& g) {
  const double tiles = g.batch * RoundUp(g.out_height, 4) * RoundUp(g.out_width, 4) / 16;
  return 2 * 36 * tiles * g.in_channels * g.out_channels;
}

double WinogradCost(Pass pass, const Geometry& g) {
  // Tiles of 4 × 4 results; the transforms take their part for each channel of both sides.
  const double positions = g.batch * RoundUp(g.out_height, 4) * RoundUp(g.out_width, 4);
  const double in = static_cast<double>(g.in_channels);
  const double out = static_cast<double>(g.out_channels);
  const double direct = 2 * positions * in * out * 9;
  const double cost = direct * (0.333 + 18.4 * (1 / in + 1 / out));
  return pass == Pass::kFilterGradient ? 1.2 * cost : cost;
}

Choice Choose(Pass pass, const Geometry& g, Precision precision) {
  const bool is_open = !preferred.has_value();
  Choice best{Algorithm::kDirect, std::nullopt, false, DirectOperations(g)};
  double cost = DirectCost(pass, g, precision);
  const auto consider = [&](const Choice& choice, double its_cost) {
    if (is_open ? its_cost >= cost : *preferred != choice.algorithm) return;
    best = choice;
    cost = its_cost;
  };
  if (const auto fft = FftChoice(pass, g)) consider(*fft, FftCost(pass, *fft));
  const double winograd = WinogradCost(pass, g);
  if ((!is_open || winograd < cost) && HasWinograd(pass, g)) {
    consider({Algorithm::kWinograd, std::nullopt, false, WinogradOperations(g)}, winograd);
  }
  return best;
}

}  // namespace

const Choice& ChoiceOf(Pass pass, const Geometry& g, Precision precision) {
  constexpr size_t kMostChoices = 4096;
  const std::string key = KeyOf("", g.Key(), pass, precision);
  const auto found = choices.find(key);
  if (found != choices.end()) return found->second;
  if (choices.size() >= kMostChoices) choices.clear();
  return choices.emplace(key, Choose(pass, g, precision)).first->second;
}

void PreferAlgorithm(std::optional<Algorithm> algorithm) {
  preferred = algorithm;
  choices.clear();
}

}  // namespace twotower

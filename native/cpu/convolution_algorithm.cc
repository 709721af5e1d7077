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

struct Kept {
  Algorithm algorithm;
  int size;
};
// By pass, geometry without its batch, and precision.
thread_local std::unordered_map<std::string, Kept> kept_algorithms;

std::string KeptKey(Pass pass, Geometry g, Precision precision) {
  g.batch = 0;
  return KeyOf("", g.Key(), pass, precision);
}

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

std::optional<Choice> FftChoice(int size, Pass pass, const Geometry& g) {
  Choice choice{Algorithm::kFft, std::nullopt};
  const auto plan_of = [size](const Geometry& taken) {
    return size == 0 ? FftPlanOf(taken) : FftPlanOfSize(taken, size);
  };
  if (pass == Pass::kInputGradient) {
    if (IsConvolutionOfGradient(g)) choice.plan = plan_of(GradientGeometry(g));
  } else if (HasFewChannelsForItsStride(g)) {
    choice.plan = plan_of(GeometryOfBlocks(g));
    choice.in_blocks = true;
  } else {
    choice.plan = plan_of(g);
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
  Choice best = *ChoiceBy(Algorithm::kDirect, 0, pass, g);
  if (preferred) return ChoiceBy(*preferred, 0, pass, g).value_or(best);
  const auto kept = kept_algorithms.find(KeptKey(pass, g, precision));
  if (kept != kept_algorithms.end()) {
    const auto choice = ChoiceBy(kept->second.algorithm, kept->second.size, pass, g);
    if (choice) return *choice;
  }
  double cost = DirectCost(pass, g, precision);
  if (const auto fft = FftChoice(0, pass, g); fft && FftCost(pass, *fft) < cost) {
    best = *fft;
    cost = FftCost(pass, *fft);
  }
  // Making a primitive to know whether there is one takes milliseconds.
  if (WinogradCost(pass, g) >= cost) return best;
  return ChoiceBy(Algorithm::kWinograd, 0, pass, g).value_or(best);
}

}  // namespace

std::optional<Choice> ChoiceBy(Algorithm algorithm, int size, Pass pass, const Geometry& g) {
  switch (algorithm) {
    case Algorithm::kDirect: return Choice{algorithm, std::nullopt, false, DirectOperations(g)};
    case Algorithm::kFft: return FftChoice(size, pass, g);
    case Algorithm::kWinograd: break;
  }
  if (!HasWinograd(pass, g)) return std::nullopt;
  return Choice{algorithm, std::nullopt, false, WinogradOperations(g)};
}

const Choice& ChoiceOf(Pass pass, const Geometry& g, Precision precision) {
  constexpr size_t kMostChoices = 4096;
  const std::string key = KeyOf("", g.Key(), pass, precision);
  const auto found = choices.find(key);
  if (found != choices.end()) return found->second;
  if (choices.size() >= kMostChoices) choices.clear();
  return choices.emplace(key, Choose(pass, g, precision)).first->second;
}

void KeepAlgorithm(Algorithm algorithm, int size, Pass pass, const Geometry& g,
                   Precision precision) {
  kept_algorithms.insert_or_assign(KeptKey(pass, g, precision), Kept{algorithm, size});
  choices.clear();
}

void PreferAlgorithm(std::optional<Algorithm> algorithm) {
  preferred = algorithm;
  choices.clear();
}

}  // namespace twotower

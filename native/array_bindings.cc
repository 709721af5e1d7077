// Bindings of element-wise functions and reductions.

#include <climits>
#include <string>

#include "bindings.h"
#include "kernels.h"

namespace twotower::bindings {
namespace {

Extents ExtentsOf(const Integers& sizes) {
  return {static_cast<size_t>(sizes[0]), static_cast<size_t>(sizes[1]),
          static_cast<size_t>(sizes[2])};
}

// Checks the operands' types.
void CheckOperands(BinaryOperation operation, Type operands, Type result) {
  if (operation < BinaryOperation::kEqual) {
    CheckSameType("a", operands, "out", result);
    if (operands == Type::kBool) throw TypeError("arithmetic takes no Uint8Array");
    const bool needs_floats =
        operation == BinaryOperation::kDiv || operation == BinaryOperation::kPow;
    if (needs_floats && operands != Type::kFloat32) {
      throw TypeError("div and pow take Float32Arrays");
    }
    return;
  }
  CheckSameType("out", result, "the result of a comparison", Type::kBool);
  if (operation >= BinaryOperation::kLogicalAnd) {
    CheckSameType("a", operands, "an operand of logic", Type::kBool);
  }
}

}  // namespace

napi_value Binary(Arguments& arguments) {
  const auto operation = static_cast<BinaryOperation>(arguments.Choice(
      0, "operation",
      {"add", "sub", "mul", "div", "maximum", "minimum", "squaredDifference", "pow", "equal",
       "notEqual", "greater", "greaterEqual", "less", "lessEqual", "logicalAnd", "logicalOr"}));
  const Values a = arguments.AnyValues(1, "a");
  const Integers a_shape = arguments.Shape(2, "aShape");
  const Values b = arguments.AnyValues(3, "b");
  const Integers b_shape = arguments.Shape(4, "bShape");
  const Values out = arguments.AnyValues(5, "out");
  const Integers out_shape = arguments.Shape(6, "outShape");
  CheckLength("a", a.length, a_shape);
  CheckLength("b", b.length, b_shape);
  CheckLength("out", out.length, out_shape);
  CheckSameType("a", a.type, "b", b.type);
  const Broadcast broadcast(a_shape, b_shape, out_shape);
  CheckOperands(operation, a.type, out.type);
  twotower::Binary(operation, broadcast, a, b, out);
  return nullptr;
}

napi_value Unary(Arguments& arguments) {
  const auto operation = static_cast<UnaryOperation>(arguments.Choice(
      0, "operation",
      {"relu",  "relu6", "step",   "leakyRelu",  "elu", "clip",  "sigmoid", "tanh",  "softplus",
       "sqrt",  "rsqrt", "square", "reciprocal", "exp", "expm1", "log",     "log1p", "neg",
       "abs",   "sign",  "floor",  "ceil",       "round", "sin", "cos"}));
  const Span<float> x = arguments.Floats(1, "x");
  float* out = arguments.Floats(2, "out", x.length).data;
  const auto p = static_cast<float>(arguments.Number(3, "parameter0"));
  const auto q = static_cast<float>(arguments.Number(4, "parameter1"));
  twotower::Unary(operation, x, out, p, q);
  return nullptr;
}

napi_value ReluGradient(Arguments& arguments) {
  const Span<float> dy = arguments.Floats(0, "dy");
  const float* y = arguments.Floats(1, "y", dy.length).data;
  twotower::ReluGradient(dy.length, dy.data, y, arguments.Floats(2, "dx", dy.length).data);
  return nullptr;
}

napi_value AddToChannels(Arguments& arguments) {
  const Span<float> all = arguments.Floats(0, "all");
  const Span<float> term = arguments.Floats(1, "term");
  float* out = arguments.Floats(2, "out", term.length).data;
  const auto width = static_cast<size_t>(arguments.Integer(3, "channels", 1, INT32_MAX));
  const auto first = static_cast<size_t>(arguments.Integer(4, "first", 0, INT32_MAX));
  const size_t rows = all.length / width;
  const size_t channels = rows == 0 ? 0 : term.length / rows;
  if (rows * width != all.length || rows * channels != term.length || first + channels > width) {
    throw RangeError("all has " + std::to_string(all.length) + " elements and term " +
                     std::to_string(term.length) + ", which are no rows of " +
                     std::to_string(width) + " channels and of some of them from " +
                     std::to_string(first) + " on");
  }
  twotower::AddToChannels(rows, width, first, channels, all.data, term.data, out);
  return nullptr;
}

napi_value Select(Arguments& arguments) {
  const Span<uint8_t> condition = arguments.Bools(0, "condition");
  const Values a = arguments.AnyValues(1, "a");
  const Values b = arguments.AnyValues(2, "b");
  const Values out = arguments.AnyValues(3, "out");
  CheckSameType("a", a.type, "b", b.type);
  CheckSameType("a", a.type, "out", out.type);
  CheckSameLength("a", a.length, "condition", condition.length);
  CheckSameLength("b", b.length, "condition", condition.length);
  CheckSameLength("out", out.length, "condition", condition.length);
  twotower::Select(condition.data, a, b, out);
  return nullptr;
}

napi_value Fill(Arguments& arguments) {
  twotower::Fill(arguments.AnyValues(0, "out"), arguments.Number(1, "value"));
  return nullptr;
}

napi_value Cast(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Values out = arguments.AnyValues(1, "out");
  CheckSameLength("x", x.length, "out", out.length);
  twotower::Cast(x, out);
  return nullptr;
}

napi_value Reduce(Arguments& arguments) {
  const auto operation = static_cast<Reduction>(
      arguments.Choice(0, "operation", {"sum", "mean", "max", "min", "prod"}));
  const Values x = arguments.AnyValues(1, "x");
  const Values out = arguments.AnyValues(2, "out");
  const Integers sizes = arguments.Sizes(3, "sizes", 3);
  CheckLength("x", x.length, sizes);
  CheckLength("out", out.length, {sizes[0], sizes[2]});
  CheckSameType("x", x.type, "out", out.type);
  const bool takes_integers = operation != Reduction::kMean;
  if (x.type == Type::kBool || (x.type == Type::kInt32 && !takes_integers)) {
    throw TypeError("x must be a Float32Array, or an Int32Array unless it is a mean");
  }
  if (out.length > 0) twotower::Reduce(operation, ExtentsOf(sizes), x, out);
  return nullptr;
}

napi_value ArgMax(Arguments& arguments) {
  const Values x = arguments.AnyValues(0, "x");
  const Span<int32_t> out = arguments.Int32s(1, "out");
  const Integers sizes = arguments.Sizes(2, "sizes", 3);
  CheckLength("x", x.length, sizes);
  CheckLength("out", out.length, {sizes[0], sizes[2]});
  if (x.type == Type::kBool) throw TypeError("x must be a Float32Array or an Int32Array");
  if (out.length == 0) return nullptr;
  if (sizes[1] == 0) throw RangeError("there is no greatest of no elements");
  twotower::ArgMax(ExtentsOf(sizes), x, out.data);
  return nullptr;
}

napi_value Softmax(Arguments& arguments) {
  const Span<float> x = arguments.Floats(0, "x");
  float* out = arguments.Floats(1, "out", x.length).data;
  const auto columns = static_cast<size_t>(arguments.Integer(2, "columns", 1, INT32_MAX));
  const bool logarithm = arguments.Boolean(3, "logarithm");
  if (x.length % columns != 0) {
    throw RangeError("x has " + std::to_string(x.length) + " elements, which are no rows of " +
                     std::to_string(columns));
  }
  twotower::Softmax(x.length / columns, columns, x.data, out, logarithm);
  return nullptr;
}

}  // namespace twotower::bindings

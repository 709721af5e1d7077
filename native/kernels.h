// What a device computes: plain functions over arrays in its memory. Each addon implements them for its own device;
// bindings.h exports them to JavaScript. src/backend/native/addon.ts says what each one does.
//
// The bindings have checked types, lengths and sizes. Pointers to outputs come after those to inputs, in the order in which
// JavaScript passes them.

#ifndef TWOTOWER_NATIVE_KERNELS_H_
#define TWOTOWER_NATIVE_KERNELS_H_

#include "broadcast.h"
#include "geometry.h"
#include "values.h"

namespace twotower {

// Type of the operands of convolutions and matrix products.
enum class Precision { kFloat32, kBf16, kTf32 };

enum class Activation { kLinear, kRelu };

// Throws if the device does not compute in this precision.
void CheckPrecision(Precision precision);

// Convolutions. `bias` and `d_bias` may be null.
void Conv2D(const Geometry& g, const float* x, const float* filter, const float* bias, float* out,
            Activation activation, Precision precision);
void Conv2DBackpropInput(const Geometry& g, const float* dy, const float* filter, float* dx,
                         Precision precision);
void Conv2DBackpropFilter(const Geometry& g, const float* x, const float* dy, float* d_filter,
                          float* d_bias, Precision precision);

// Largest window whose maximum Conv2DMaxPool finds.
constexpr int kMaxWindowPositions = 255;

// A convolution, its ReLU, and the max pooling of what that gives. `positions`, as many as `out` has elements, say where
// in its window each maximum was; the gradients by filter and bias need nothing else of what the convolution gave.
void Conv2DMaxPool(const Geometry& g, const Geometry& pool, const float* x, const float* filter,
                   const float* bias, float* out, uint8_t* positions, Precision precision);
void Conv2DMaxPoolBackpropFilter(const Geometry& g, const Geometry& pool, const float* x,
                                 const float* dy, const uint8_t* positions, float* d_filter,
                                 float* d_bias, Precision precision);

// Sizes of a batch of matrix products; a batch of 1 is repeated.
struct Product {
  int64_t a_batch, b_batch, m, k, n;
  bool transpose_a, transpose_b;

  // An empty batch and a batch of one give an empty batch.
  int64_t Batch() const {
    return a_batch == 0 || b_batch == 0 ? 0 : a_batch > b_batch ? a_batch : b_batch;
  }
};

// `bias` may be null.
void MatMul(const Product& product, const float* a, const float* b, const float* bias, float* out,
            Activation activation, Precision precision);

void MaxPool(const Geometry& g, const float* x, float* out);
// `of_relu`: x is what a ReLU gave, and dx the gradient by what it was given.
void MaxPoolGradient(const Geometry& g, const float* dy, const float* x, const float* y, float* dx,
                     bool of_relu);
void AveragePool(const Geometry& g, const float* x, float* out);
void AveragePoolGradient(const Geometry& g, const float* dy, float* dx);

// Local response normalization of `rows` rows of `channels`.
struct Normalization {
  int64_t rows, channels, radius;
  float bias, alpha, beta;
};

void LocalResponseNormalization(const Normalization& n, const float* x, float* out);
void LocalResponseNormalizationGradient(const Normalization& n, const float* dy, const float* x,
                                        float* dx);
// Of max pooling, which gave y, the normalization before it, which gave `normalized` of x, and if `of_relu` the ReLU before
// that: the gradients between them never leave the caches.
void MaxPoolOfNormalizedGradient(const Geometry& g, const Normalization& n, const float* dy,
                                 const float* x, const float* normalized, const float* y, float* dx,
                                 bool of_relu);

// In the order of `BinaryOperation` in addon_arrays.ts: arithmetic, comparisons, logic.
enum class BinaryOperation {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kMinimum,
  kSquaredDifference,
  kPow,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual,
  kLogicalAnd,
  kLogicalOr
};

// In the order of `UnaryOperation` in addon_arrays.ts.
enum class UnaryOperation {
  kRelu,
  kRelu6,
  kStep,
  kLeakyRelu,
  kElu,
  kClip,
  kSigmoid,
  kTanh,
  kSoftplus,
  kSqrt,
  kRsqrt,
  kSquare,
  kReciprocal,
  kExp,
  kExpm1,
  kLog,
  kLog1p,
  kNeg,
  kAbs,
  kSign,
  kFloor,
  kCeil,
  kRound,
  kSin,
  kCos
};

void Binary(BinaryOperation operation, const Broadcast& broadcast, const Values& a,
            const Values& b, const Values& out);
void Unary(UnaryOperation operation, const Span<float>& x, float* out, float p, float q);
void ReluGradient(size_t length, const float* dy, const float* y, float* dx);
// out[row] = all[row][first … first + channels] + term[row]; rows of `all` have `width` channels.
void AddToChannels(size_t rows, size_t width, size_t first, size_t channels, const float* all,
                   const float* term, float* out);
void Select(const uint8_t* condition, const Values& a, const Values& b, const Values& out);
void Fill(const Values& out, double value);
void Cast(const Values& x, const Values& out);

// [outer, reduced, inner]
struct Extents {
  size_t outer, reduced, inner;
};

enum class Reduction { kSum, kMean, kMax, kMin, kProd };

void Reduce(Reduction operation, const Extents& extents, const Values& x, const Values& out);
void ArgMax(const Extents& extents, const Values& x, int32_t* out);
void Softmax(size_t rows, size_t columns, const float* x, float* out, bool logarithm);
// Throws RangeError for a label that is not one of the classes.
void SoftmaxCrossEntropy(size_t batch, size_t classes, const float* logits, const int32_t* labels,
                         float* loss, float* gradient);

void Transpose(const Integers& shape, const Integers& permutation, const Values& x,
               const Values& out);

// A box of `size` in an array of `x_shape` from `x_start` on, and where it goes.
struct Box {
  Integers x_shape, x_start, out_shape, out_start, size;
};

void CopyBox(const Box& box, const Values& x, const Values& out);

// x is `extents`. Throws RangeError for an index that is out of range.
void Gather(const Extents& extents, const Values& x, const Span<int32_t>& indices,
            const Values& out);
void OneHot(const Span<int32_t>& indices, int64_t depth, double on, double off, const Values& out);
void Tile(const Integers& shape, const Integers& times, const Values& x, const Values& out);

void ImagesFromBytes(size_t pixels, size_t channels, const uint8_t* bytes, const float* table,
                     float* out);

struct Resizing {
  int64_t batch, in_height, in_width, out_height, out_width, channels;
  bool align_corners, half_pixel_centers;
};

void ResizeBilinear(const Resizing& resizing, const float* x, float* out);

// `check` becomes 0 if all of weight and velocity is finite afterwards, else NaN.
void MomentumUpdate(size_t length, float* weight, float* velocity, const float* gradient,
                    float* check, double rate, double momentum, double decay);

void DropoutMask(uint32_t key0, uint32_t key1, double rate, const Span<float>& out);

}  // namespace twotower

#endif  // TWOTOWER_NATIVE_KERNELS_H_

// Sums, extremes and products along the middle one of three dimensions; softmax along the last. Sums are accumulated in double.
//
// The reduced dimension is cut into parts whose number depends on the sizes alone. A block reduces a part, and a second kernel
// combines the parts in order.

// Operations are numbered as in ../kernels.h: sum, mean, max, min, product. Once it has met NaN, an extreme stays NaN.
__device__ inline double Combined(int operation, double a, double b) {
  switch (operation) {
    case 2: return b > a || b != b ? b : a;
    case 3: return b < a || b != b ? b : a;
    case 4: return a * b;
    default: return a + b;
  }
}

// partial[outer][part][inner]; threads of a block are side by side in `inner`, in rows that take turns in the part.
template <typename T>
__device__ void ReducePartsOfColumns(int operation, double start, uint64 items, uint64 reduced,
                                     uint64 inner, uint64 parts, const T* x, double* partial,
                                     double (*sums)[kTileSide]) {
  const uint64 tiles = Quotient(inner + kTileSide - 1, kTileSide);
  const int column_in = threadIdx.x % kTileSide;
  const int row_in = threadIdx.x / kTileSide;
  for (uint64 item = blockIdx.x; item < items; item += gridDim.x) {
    uint64 outer = item;
    const uint64 column = TakeIndex(outer, tiles) * kTileSide + column_in;
    const uint64 part = TakeIndex(outer, parts);
    const uint64 end = Quotient(reduced * (part + 1), parts);
    double sum = start;
    if (column < inner) {
      for (uint64 row = Quotient(reduced * part, parts) + row_in; row < end; row += kTileRows) {
        sum = Combined(operation, sum, x[(outer * reduced + row) * inner + column]);
      }
    }
    __syncthreads();
    sums[row_in][column_in] = sum;
    __syncthreads();
    if (row_in == 0 && column < inner) {
      for (int row = 1; row < kTileRows; row++) {
        sum = Combined(operation, sum, sums[row][column_in]);
      }
      partial[(outer * parts + part) * inner + column] = sum;
    }
  }
}

// partial[outer][part], of contiguous elements.
template <typename T>
__device__ void ReducePartsOfRows(int operation, double start, uint64 items, uint64 reduced,
                                  uint64 parts, const T* x, double* partial, double* sums) {
  for (uint64 item = blockIdx.x; item < items; item += gridDim.x) {
    uint64 outer = item;
    const uint64 part = TakeIndex(outer, parts);
    const uint64 end = Quotient(reduced * (part + 1), parts);
    double sum = start;
    for (uint64 i = Quotient(reduced * part, parts) + threadIdx.x; i < end; i += kBlockThreads) {
      sum = Combined(operation, sum, x[outer * reduced + i]);
    }
    sum = CombineBlock(sum, sums, [=](double a, double b) { return Combined(operation, a, b); });
    if (threadIdx.x == 0) partial[item] = sum;
  }
}

KERNEL ReduceColumnsFloat32(int operation, double start, uint64 items, uint64 reduced, uint64 inner,
                            uint64 parts, const float* x, double* partial) {
  __shared__ double sums[kTileRows][kTileSide];
  ReducePartsOfColumns(operation, start, items, reduced, inner, parts, x, partial, sums);
}

KERNEL ReduceColumnsInt32(int operation, double start, uint64 items, uint64 reduced, uint64 inner,
                          uint64 parts, const int* x, double* partial) {
  __shared__ double sums[kTileRows][kTileSide];
  ReducePartsOfColumns(operation, start, items, reduced, inner, parts, x, partial, sums);
}

KERNEL ReduceRowsFloat32(int operation, double start, uint64 items, uint64 reduced, uint64 parts,
                         const float* x, double* partial) {
  __shared__ double sums[kBlockThreads];
  ReducePartsOfRows(operation, start, items, reduced, parts, x, partial, sums);
}

KERNEL ReduceRowsInt32(int operation, double start, uint64 items, uint64 reduced, uint64 parts,
                       const int* x, double* partial) {
  __shared__ double sums[kBlockThreads];
  ReducePartsOfRows(operation, start, items, reduced, parts, x, partial, sums);
}

template <typename T>
__device__ void CombineParts(int operation, uint64 count, uint64 inner, uint64 parts, double divisor,
                             const double* partial, T* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    uint64 outer = i;
    const uint64 column = TakeIndex(outer, inner);
    const double* first = partial + outer * parts * inner + column;
    double sum = *first;
    for (uint64 part = 1; part < parts; part++) sum = Combined(operation, sum, first[part * inner]);
    out[i] = ConvertTo(T(), sum / divisor);
  }
}

KERNEL CombinePartsFloat32(int operation, uint64 count, uint64 inner, uint64 parts, double divisor,
                           const double* partial, float* out) {
  CombineParts(operation, count, inner, parts, divisor, partial, out);
}

KERNEL CombinePartsInt32(int operation, uint64 count, uint64 inner, uint64 parts, double divisor,
                         const double* partial, int* out) {
  CombineParts(operation, count, inner, parts, divisor, partial, out);
}

// An element and its index; none has the index −1.
template <typename T>
struct Candidate {
  T value;
  int index;
};

// The greater one, of equals the first.
template <typename T>
__device__ Candidate<T> Better(const Candidate<T>& a, const Candidate<T>& b) {
  if (b.index < 0) return a;
  if (a.index < 0 || b.value > a.value) return b;
  return b.value == a.value && b.index < a.index ? b : a;
}

// A block an output. NaN is never greater, and nothing is greater than a NaN that comes first.
template <typename T>
__device__ void FirstGreatest(uint64 count, uint64 reduced, uint64 inner, const T* x, int* out,
                              Candidate<T>* candidates) {
  for (uint64 item = blockIdx.x; item < count; item += gridDim.x) {
    uint64 outer = item;
    const uint64 column = TakeIndex(outer, inner);
    const T* first = x + outer * reduced * inner + column;
    Candidate<T> best = {T(), -1};
    for (uint64 i = threadIdx.x; i < reduced; i += kBlockThreads) {
      const T value = first[i * inner];
      if (value == value) best = Better(best, {value, int(i)});
    }
    best = CombineBlock(best, candidates, Better<T>);
    if (threadIdx.x == 0) out[item] = *first != *first ? 0 : best.index;
  }
}

KERNEL ArgMaxFloat32(uint64 count, uint64 reduced, uint64 inner, const float* x, int* out) {
  __shared__ Candidate<float> candidates[kBlockThreads];
  FirstGreatest(count, reduced, inner, x, out, candidates);
}

KERNEL ArgMaxInt32(uint64 count, uint64 reduced, uint64 inner, const int* x, int* out) {
  __shared__ Candidate<int> candidates[kBlockThreads];
  FirstGreatest(count, reduced, inner, x, out, candidates);
}

__device__ inline double Sum(double a, double b) { return a + b; }
__device__ inline double Greater(double a, double b) { return b > a || b != b ? b : a; }

// log Σ e^x of a row, by a block, numerically stable; −∞ if every element is.
__device__ inline double LogSumExp(const float* x, uint64 count, double* values) {
  double greatest = -Infinity();
  for (uint64 i = threadIdx.x; i < count; i += kBlockThreads) greatest = Greater(greatest, x[i]);
  greatest = CombineBlock(greatest, values, Greater);
  if (isinf(greatest)) return greatest;
  double sum = 0;
  for (uint64 i = threadIdx.x; i < count; i += kBlockThreads) sum += expf(x[i] - float(greatest));
  return greatest + log(CombineBlock(sum, values, Sum));
}

KERNEL Softmax(uint64 rows, uint64 columns, const float* x, float* out, bool logarithm) {
  __shared__ double values[kBlockThreads];
  for (uint64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* in = x + row * columns;
    const double total = LogSumExp(in, columns, values);
    for (uint64 i = threadIdx.x; i < columns; i += kBlockThreads) {
      const float log_probability = float(in[i] - total);
      out[row * columns + i] = logarithm ? log_probability : expf(log_probability);
    }
  }
}

// A label that is not one of the classes gives NaN for the whole row.
KERNEL CrossEntropyOfRows(uint64 batch, uint64 classes, const float* logits, const int* labels,
                          double* losses, float* gradient) {
  __shared__ double values[kBlockThreads];
  for (uint64 row = blockIdx.x; row < batch; row += gridDim.x) {
    const float* in = logits + row * classes;
    const int label = labels[row];
    const bool is_class = label >= 0 && uint64(label) < classes;
    const double total = is_class ? LogSumExp(in, classes, values) : NotANumber();
    if (threadIdx.x == 0) losses[row] = is_class ? total - in[label] : total;
    for (uint64 i = threadIdx.x; i < classes; i += kBlockThreads) {
      const double probability = expf(float(in[i] - total));
      const double target = is_class && i == uint64(label) ? 1 : 0;
      gradient[row * classes + i] = float((probability - target) / batch);
    }
  }
}

KERNEL MeanLoss(uint64 batch, const double* losses, float* loss) {
  __shared__ double values[kBlockThreads];
  double sum = 0;
  for (uint64 i = threadIdx.x; i < batch; i += kBlockThreads) sum += losses[i];
  sum = CombineBlock(sum, values, Sum);
  if (threadIdx.x == 0) *loss = float(sum / batch);
}

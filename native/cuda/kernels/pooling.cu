// Max and average pooling and their gradients, and local response normalization. A thread computes one element. Gradients are
// gathered from the windows that hold the element, so that no two threads add to one.

// An element of an array [batch, height, width, channels].
struct Place {
  uint64 image;
  int row, column, channel;
};

__device__ inline Place PlaceAt(uint64 index, int height, int width, int channels) {
  Place place;
  place.channel = int(TakeIndex(index, channels));
  place.column = int(TakeIndex(index, width));
  place.row = int(TakeIndex(index, height));
  place.image = index;
  return place;
}

__device__ inline uint64 InputAt(const PoolSizes& p, uint64 image, int row, int column, int channel) {
  return ((image * p.in_height + row) * p.in_width + column) * p.channels + channel;
}

__device__ inline uint64 OutputAt(const PoolSizes& p, uint64 image, int row, int column,
                                  int channel) {
  return ((image * p.out_height + row) * p.out_width + column) * p.channels + channel;
}

// Calls `body(position, index of the input)` for each position of an output's window that lies in the image, in row-major
// order; positions are numbered in the whole window.
template <typename Body>
__device__ void ForEachInWindow(const PoolSizes& p, const Place& out, const Body& body) {
  for (int y = 0; y < p.filter_height; y++) {
    const int row = out.row * p.stride_height - p.pad_top + y * p.dilation_height;
    if (row < 0 || row >= p.in_height) continue;
    for (int x = 0; x < p.filter_width; x++) {
      const int column = out.column * p.stride_width - p.pad_left + x * p.dilation_width;
      if (column < 0 || column >= p.in_width) continue;
      body(y * p.filter_width + x, InputAt(p, out.image, row, column, out.channel));
    }
  }
}

// The output whose window has the input at position `offset`, in one dimension; −1 if there is none.
__device__ inline int OutputWith(int in, int offset, int stride, int dilation, int pad,
                                 int out_size) {
  const int start = in + pad - offset * dilation;
  if (start < 0 || start % stride != 0 || start / stride >= out_size) return -1;
  return start / stride;
}

// Calls `body(position, output)` for each window that holds an input, outputs in row-major order.
template <typename Body>
__device__ void ForEachWindowWith(const PoolSizes& p, const Place& in, const Body& body) {
  for (int y = p.filter_height - 1; y >= 0; y--) {
    const int row = OutputWith(in.row, y, p.stride_height, p.dilation_height, p.pad_top, p.out_height);
    if (row < 0) continue;
    for (int x = p.filter_width - 1; x >= 0; x--) {
      const int column =
          OutputWith(in.column, x, p.stride_width, p.dilation_width, p.pad_left, p.out_width);
      if (column < 0) continue;
      body(y * p.filter_width + x, Place{in.image, row, column, in.channel});
    }
  }
}

KERNEL MaxPool(uint64 count, PoolSizes p, const float* x, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float greatest = -Infinity();
    ForEachInWindow(p, PlaceAt(i, p.out_height, p.out_width, p.channels), [&](int, uint64 at) {
      const float value = x[at];
      // Once a window has NaN, NaN stays.
      greatest = value > greatest || value != value ? value : greatest;
    });
    out[i] = greatest;
  }
}

// Whether the input at `position` is the first greatest of its window, `greatest`. Where a window holds NaN, that is its
// greatest.
__device__ inline bool IsFirstGreatest(const PoolSizes& p, const Place& out, int position,
                                       const float* x, float value, float greatest) {
  if (!(value == greatest || value != value)) return false;
  bool is_first = true;
  ForEachInWindow(p, out, [&](int before, uint64 at) {
    if (before < position && (x[at] == greatest || x[at] != x[at])) is_first = false;
  });
  return is_first;
}

// A ReLU lets the gradient through unless it gave 0 or less: not where it gave NaN.
KERNEL MaxPoolGradient(uint64 count, PoolSizes p, const float* dy, const float* x, const float* y,
                       float* dx, bool of_relu) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    const float value = x[i];
    float sum = 0;
    ForEachWindowWith(p, PlaceAt(i, p.in_height, p.in_width, p.channels),
                      [&](int position, const Place& out) {
                        const uint64 at = OutputAt(p, out.image, out.row, out.column, out.channel);
                        const float greatest = y[at];
                        if (of_relu && greatest <= 0) return;
                        if (IsFirstGreatest(p, out, position, x, value, greatest)) sum += dy[at];
                      });
    dx[i] = sum;
  }
}

// Position of a window in which a ReLU gave nothing but 0.
constexpr int kNowhere = 255;

// The first greatest of each window of what a ReLU gave, and its position.
KERNEL MaxPoolWithPositions(uint64 count, PoolSizes p, const float* x, float* out,
                            uint8* positions) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float greatest = -Infinity();
    int where = kNowhere;
    ForEachInWindow(p, PlaceAt(i, p.out_height, p.out_width, p.channels),
                    [&](int position, uint64 at) {
                      const float value = x[at];
                      // The first NaN is greater than all else.
                      if (!(value > greatest || (value != value && greatest == greatest))) return;
                      greatest = value;
                      where = position;
                    });
    out[i] = greatest;
    positions[i] = uint8(greatest <= 0 ? kNowhere : where);
  }
}

KERNEL GradientFromPositions(uint64 count, PoolSizes p, const float* dy, const uint8* positions,
                             float* dx) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float sum = 0;
    ForEachWindowWith(p, PlaceAt(i, p.in_height, p.in_width, p.channels),
                      [&](int position, const Place& out) {
                        const uint64 at = OutputAt(p, out.image, out.row, out.column, out.channel);
                        if (positions[at] == position) sum += dy[at];
                      });
    dx[i] = sum;
  }
}

KERNEL AveragePool(uint64 count, PoolSizes p, const float* x, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float sum = 0;
    int inside = 0;
    ForEachInWindow(p, PlaceAt(i, p.out_height, p.out_width, p.channels), [&](int, uint64 at) {
      sum += x[at];
      inside++;
    });
    out[i] = sum / inside;
  }
}

KERNEL AveragePoolGradient(uint64 count, PoolSizes p, const float* dy, float* dx) {
  const float share = 1.f / (p.filter_height * p.filter_width);
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    float sum = 0;
    ForEachWindowWith(p, PlaceAt(i, p.in_height, p.in_width, p.channels),
                      [&](int, const Place& out) {
                        sum += dy[OutputAt(p, out.image, out.row, out.column, out.channel)] * share;
                      });
    dx[i] = sum;
  }
}

// Channels of the row of `index` that its window has, as indices of elements.
struct ChannelWindow {
  uint64 begin, end;
};

__device__ inline ChannelWindow WindowOf(const NormalizationSizes& n, uint64 index) {
  const uint64 row = Quotient(index, n.channels) * n.channels;
  const uint64 channel = index - row;
  const uint64 begin = channel < uint64(n.radius) ? 0 : channel - n.radius;
  const uint64 end = channel + n.radius + 1;
  return {row + begin, row + (end < uint64(n.channels) ? end : uint64(n.channels))};
}

// s of an element: bias + α · Σ x².
__device__ inline float ScaleOf(const NormalizationSizes& n, uint64 index, const float* x) {
  const ChannelWindow window = WindowOf(n, index);
  float sum = 0;
  for (uint64 i = window.begin; i < window.end; i++) sum += x[i] * x[i];
  return n.bias + n.alpha * sum;
}

// s^−β. Roots are faster than powers, and β is 3/4 in practice.
__device__ inline float NegativePower(float scale, float beta) {
  if (beta != 0.75f) return powf(scale, -beta);
  const float root = sqrtf(scale);
  return 1.f / (root * sqrtf(root));
}

KERNEL LocalResponseNormalization(uint64 count, NormalizationSizes n, const float* x, float* out) {
  for (uint64 i = FirstIndex(); i < count; i += IndexStep()) {
    out[i] = x[i] * NegativePower(ScaleOf(n, i, x), n.beta);
  }
}

// The widest window whose terms a block keeps in shared memory.
constexpr int kMostSharedRadius = 32;

// dx = dy·s^−β − 2αβ · x · Σ dy·x·s^−β / s, the sum over the same window, which is symmetric.
KERNEL LocalResponseNormalizationGradient(uint64 count, NormalizationSizes n, const float* dy,
                                          const float* x, float* dx) {
  __shared__ float shares[kBlockThreads + 2 * kMostSharedRadius];
  const auto share_of = [&](uint64 i) {
    const float scale = ScaleOf(n, i, x);
    return dy[i] * NegativePower(scale, n.beta) * x[i] / scale;
  };
  const bool is_shared = n.radius <= kMostSharedRadius;
  const uint64 tiles = Quotient(count + kBlockThreads - 1, kBlockThreads);
  for (uint64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const uint64 first = tile * kBlockThreads;
    if (is_shared) {
      __syncthreads();
      for (int k = threadIdx.x; k < kBlockThreads + 2 * n.radius; k += kBlockThreads) {
        const uint64 i = first + k - n.radius;
        // Before the first element, `i` has wrapped around.
        if (i < count) shares[k] = share_of(i);
      }
      __syncthreads();
    }
    const uint64 i = first + threadIdx.x;
    if (i >= count) continue;
    const ChannelWindow window = WindowOf(n, i);
    float sum = 0;
    for (uint64 other = window.begin; other < window.end; other++) {
      sum += is_shared ? shares[other + n.radius - first] : share_of(other);
    }
    const float direct = dy[i] * NegativePower(ScaleOf(n, i, x), n.beta);
    dx[i] = direct - 2 * n.alpha * n.beta * x[i] * sum;
  }
}

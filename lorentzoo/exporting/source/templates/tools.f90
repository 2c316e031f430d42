! @tool inner_product
  pure function inner_product(p, q) result(product)
    ! p.q in the order of the model, where rounding counts: nearly parallel momenta lose digits.
    real(real64), intent(in) :: p(0:3), q(0:3)
    real(real64) :: product
    ! Parentheses keep products and differences from being fused.
    product = (((p(0) * q(0)) - (p(1) * q(1))) - (p(2) * q(2))) - (p(3) * q(3))
  end function inner_product

! @tool find_incoming inner_product
  pure subroutine find_incoming(p, largest, first, second)
    ! The largest p_i.p_j, and which pair has it.
    real(real64), intent(in) :: p(0:, :)
    real(real64), intent(out) :: largest
    integer, intent(out) :: first, second
    real(real64) :: product
    integer :: i, j
    largest = inner_product(p(:, 1), p(:, 2))
    first = 1
    second = 2
    do i = 1, size(p, 2)
      do j = i + 1, size(p, 2)
        product = inner_product(p(:, i), p(:, j))
        if (product > largest) then
          largest = product
          first = i
          second = j
        end if
      end do
    end do
  end subroutine find_incoming

! @tool mass_squared
  pure function mass_squared(p) result(square)
    ! (E - |p|)(E + |p|) of the sum of momenta.
    real(real64), intent(in) :: p(0:, :)
    real(real64) :: square, total(0:3), space
    integer :: i
    total = 0
    do i = 1, size(p, 2)
      total = total + p(:, i)
    end do
    space = sqrt(total(1)**2 + total(2)**2 + total(3)**2)
    square = (total(0) - space) * (total(0) + space)
  end function mass_squared

! @tool boost_to_rest mass_squared
  pure subroutine boost_to_rest(p, out)
    ! All momenta in the rest frame of their sum; sums of boosts above a million are kept from the light cone.
    real(real64), intent(in) :: p(0:, :)
    real(real64), intent(out) :: out(0:, :)
    real(real64) :: total(0:3, 1), least, velocity(3), time, along
    integer :: i
    total = 0
    do i = 1, size(p, 2)
      total(:, 1) = total(:, 1) + p(:, i)
    end do
    if (.not. total(0, 1) > 0) total(:, 1) = [1.0_real64, 0.0_real64, 0.0_real64, 0.0_real64]
    least = (total(0, 1) / 1e6_real64)**2
    if (mass_squared(total) < least) total(0, 1) = sqrt(sum(total(1:, 1)**2) + least)
    velocity = total(1:, 1) / sqrt(mass_squared(total))
    time = sqrt(1 + sum(velocity**2))
    do i = 1, size(p, 2)
      along = dot_product(velocity, p(1:, i))
      out(0, i) = time * p(0, i) - along
      out(1:, i) = p(1:, i) + (along / (1 + time) - p(0, i)) * velocity
    end do
  end subroutine boost_to_rest

! @tool order inner_product
  pure subroutine order(sizes, p, out)
    ! Particles of each group in a row by falling sum of squared products with all; equal ones stay as they are.
    integer, intent(in) :: sizes(:)
    real(real64), intent(in) :: p(0:, :)
    real(real64), intent(out) :: out(0:, :)
    real(real64) :: key, keys(size(p, 2))
    integer :: places(size(p, 2)), group, start, i, j, place
    start = 0
    do group = 1, size(sizes)
      do i = 1, sizes(group)
        key = 0
        do j = 1, size(p, 2)
          key = key + inner_product(p(:, start + i), p(:, j))**2
        end do
        place = i
        do while (place > 1)
          if (.not. keys(place - 1) < key) exit
          keys(place) = keys(place - 1)
          places(place) = places(place - 1)
          place = place - 1
        end do
        keys(place) = key
        places(place) = start + i
      end do
      do i = 1, sizes(group)
        out(:, start + i) = p(:, places(i))
      end do
      start = start + sizes(group)
    end do
  end subroutine order

! @tool products inner_product
  pure subroutine products(p, out)
    ! p_i.p_j of all pairs.
    real(real64), intent(in) :: p(0:, :)
    real(real64), intent(out) :: out(:)
    integer :: i, j, k
    k = 0
    do i = 1, size(p, 2)
      do j = i + 1, size(p, 2)
        k = k + 1
        out(k) = inner_product(p(:, i), p(:, j))
      end do
    end do
  end subroutine products

! @tool log_products products find_incoming
  pure subroutine log_products(p, floor, tiny, out)
    ! ln p_i.p_j of all pairs, with a floor relative to the largest.
    real(real64), intent(in) :: p(0:, :), floor, tiny
    real(real64), intent(out) :: out(:)
    real(real64) :: largest
    integer :: first, second
    call find_incoming(p, largest, first, second)
    call products(p, out)
    out = log(max(out, max(floor * largest, tiny)))
  end subroutine log_products

! @tool log_masses find_incoming
  pure subroutine log_masses(p, systems, floor, tiny, out)
    ! ln |(sum of +-p)^2| of systems of particles, with a minus for the pair of largest product: the incoming ones.
    real(real64), intent(in) :: p(0:, :), floor, tiny
    integer, intent(in) :: systems(:)
    real(real64), intent(out) :: out(:)
    real(real64) :: largest, total, sign(size(p, 2))
    integer :: first, second, s, start, a, b, i, j
    call find_incoming(p, largest, first, second)
    sign = 1
    sign(first) = -1
    sign(second) = -1
    start = 1
    do s = 1, size(out)
      total = 0
      do a = 1, systems(start)
        i = systems(start + a)
        do b = a + 1, systems(start)
          j = systems(start + b)
          total = total + 2 * inner_product(p(:, i), p(:, j)) * sign(i) * sign(j)
        end do
      end do
      do a = 1, systems(start)
        i = systems(start + a)
        total = total + inner_product(p(:, i), p(:, i))
      end do
      start = start + systems(start) + 1
      out(s) = log(max(abs(total), max(floor * largest, tiny)))
    end do
  end subroutine log_masses

! @tool abs_log_inverse
  elemental function abs_log_inverse(x) result(y)
    ! sign(x) (exp|x| - 1), by tanh where the difference would lose digits.
    real(real64), intent(in) :: x
    real(real64) :: y, t
    if (abs(x) < 1) then
      t = tanh(abs(x) / 2)
      y = sign(2 * t / (1 - t), x)
    else
      y = sign(exp(abs(x)) - 1, x)
    end if
  end function abs_log_inverse

! @tool polynomial
  pure function polynomial(degree, coefficients, x) result(total)
    ! Sum of all monomials up to a degree: each is one of the degree before times a variable not before its last.
    integer, intent(in) :: degree
    real(real64), intent(in) :: coefficients(:), x(:)
    real(real64) :: total, value(size(coefficients))
    integer :: last(size(coefficients)), d, first, final, next, parent, v
    total = coefficients(1)
    value(1) = 1
    last(1) = 1
    first = 1
    final = 1
    do d = 1, degree
      next = final
      do parent = first, final
        do v = last(parent), size(x)
          next = next + 1
          value(next) = value(parent) * x(v)
          last(next) = v
          total = total + coefficients(next) * value(next)
        end do
      end do
      first = final + 1
      final = next
    end do
  end function polynomial

! @tool exact_affine
  pure subroutine exact_affine(w, b, x, y)
    ! W x + b in double precision.
    real(real64), intent(in) :: b(:), w(size(b), *), x(:)
    real(real64), intent(out) :: y(:)
    integer :: k
    y = b
    do k = 1, size(x)
      y = y + w(:, k) * x(k)
    end do
  end subroutine exact_affine

! @tool affine
  pure subroutine affine(inputs, outputs, events, w, b, x, y)
    ! W x + b of some events; outputs stand side by side, and events share the weights that are loaded.
    integer, intent(in) :: inputs, outputs, events
    real(wp), intent(in) :: w(outputs, inputs), b(outputs), x(inputs, events)
    real(wp), intent(out) :: y(outputs, events)
    integer :: e, j, k, wide
    real(wp) :: total(16, 4)
    real(real64) :: one
    wide = outputs - modulo(outputs, 16)
    do j = 1, wide, 16
      do e = 1, events - 3, 4
        total(:, 1) = b(j:j + 15)
        total(:, 2) = b(j:j + 15)
        total(:, 3) = b(j:j + 15)
        total(:, 4) = b(j:j + 15)
        do k = 1, inputs
          total(:, 1) = total(:, 1) + w(j:j + 15, k) * x(k, e)
          total(:, 2) = total(:, 2) + w(j:j + 15, k) * x(k, e + 1)
          total(:, 3) = total(:, 3) + w(j:j + 15, k) * x(k, e + 2)
          total(:, 4) = total(:, 4) + w(j:j + 15, k) * x(k, e + 3)
        end do
        y(j:j + 15, e:e + 3) = total
      end do
      do e = events - modulo(events, 4) + 1, events
        total(:, 1) = b(j:j + 15)
        do k = 1, inputs
          total(:, 1) = total(:, 1) + w(j:j + 15, k) * x(k, e)
        end do
        y(j:j + 15, e) = total(:, 1)
      end do
    end do
    do e = 1, events
      do j = wide + 1, outputs
        ! In double precision, whatever the weights are.
        one = b(j)
        do k = 1, inputs
          one = one + real(w(j, k), real64) * x(k, e)
        end do
        y(j, e) = real(one, wp)
      end do
    end do
  end subroutine affine

! @tool relu
  elemental function relu(x) result(y)
    real(wp), intent(in) :: x
    real(wp) :: y
    y = x
    if (x < 0) y = 0
  end function relu

! @tool gelu
  elemental function gelu(x) result(y)
    ! x Phi(x).
    real(wp), intent(in) :: x
    real(wp) :: y
    y = real(x * 0.5_real64 * (1 + erf(x * 0.70710678118654752440_real64)), wp)
  end function gelu

! @tool silu
  elemental function silu(x) result(y)
    ! x/(1 + exp(-x)), by the exponential of what is negative.
    real(wp), intent(in) :: x
    real(wp) :: y
    real(real64) :: e
    e = exp(-abs(real(x, real64)))
    y = real(x * merge(e, 1.0_real64, x < 0) / (1 + e), wp)
  end function silu


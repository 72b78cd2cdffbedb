! Steady flow in a square cavity whose lid moves, by stream function and vorticity: central differences, explicit steps
! in time, successive over-relaxation for the stream function.
! usage: cavity REYNOLDS MESH. Writes centreline.csv, stream.pgm, and result.json where LABRUN_ARCHIVE says.
program cavity
  implicit none
  integer, parameter :: real64 = selected_real_kind(15)
  integer, parameter :: steps_max = 200000
  integer :: n, step, sweep, i, j, unit, length
  real(real64) :: reynolds, h, dt, change, largest, residual, relaxation, u_least, old
  real(real64), allocatable :: psi(:, :), omega(:, :), next(:, :)
  character(len=1024) :: text, archive

  call get_command_argument(1, text)
  read (text, *) reynolds
  call get_command_argument(2, text)
  read (text, *) n
  if (reynolds <= 0 .or. n < 8) stop 2

  h = 1.0_real64 / n
  dt = min(0.2_real64 * h * h * reynolds, 0.5_real64 * h)
  relaxation = 2 / (1 + sin(acos(-1.0_real64) * h))
  allocate (psi(0:n, 0:n), omega(0:n, 0:n), next(0:n, 0:n))
  psi = 0
  omega = 0

  do step = 1, steps_max
    do sweep = 1, 50
      largest = 0
      do j = 1, n - 1
        do i = 1, n - 1
          old = psi(i, j)
          residual = (psi(i + 1, j) + psi(i - 1, j) + psi(i, j + 1) + psi(i, j - 1) + h * h * omega(i, j)) / 4 - old
          psi(i, j) = old + relaxation * residual
          largest = max(largest, abs(residual))
        end do
      end do
      if (largest < 1e-7_real64) exit
    end do
    ! Thom's formula; the lid is at j = n and moves with speed one.
    omega(:, 0) = -2 * psi(:, 1) / h**2
    omega(:, n) = -2 * psi(:, n - 1) / h**2 - 2 / h
    omega(0, :) = -2 * psi(1, :) / h**2
    omega(n, :) = -2 * psi(n - 1, :) / h**2
    next = omega
    change = 0
    do j = 1, n - 1
      do i = 1, n - 1
        next(i, j) = omega(i, j) + dt * ( &
          -(psi(i, j + 1) - psi(i, j - 1)) * (omega(i + 1, j) - omega(i - 1, j)) / (4 * h * h) &
          + (psi(i + 1, j) - psi(i - 1, j)) * (omega(i, j + 1) - omega(i, j - 1)) / (4 * h * h) &
          + (omega(i + 1, j) + omega(i - 1, j) + omega(i, j + 1) + omega(i, j - 1) - 4 * omega(i, j)) / (reynolds * h * h))
        change = max(change, abs(next(i, j) - omega(i, j)))
      end do
    end do
    omega = next
    if (mod(step, 500) == 0) print '(a, i7, a, es10.3)', 'step', step, '  change of vorticity', change / dt
    if (change / dt < 1e-3_real64) exit
  end do

  u_least = 0
  open (newunit=unit, file='centreline.csv')
  write (unit, '(a)') 'y,u'
  do j = 0, n
    if (j == 0) then
      old = 0
    else if (j == n) then
      old = 1
    else
      old = (psi(n / 2, j + 1) - psi(n / 2, j - 1)) / (2 * h)
    end if
    u_least = min(u_least, old)
    write (unit, '(f8.5, a, es15.7)') j * h, ',', old
  end do
  close (unit)

  open (newunit=unit, file='stream.pgm')
  write (unit, '(a, /, i0, 1x, i0, /, i0)') 'P2', n + 1, n + 1, 255
  do j = n, 0, -1
    write (unit, '(*(i0, 1x))') (nint(255 * psi(i, j) / minval(psi)), i=0, n)
  end do
  close (unit)

  call get_environment_variable('LABRUN_ARCHIVE', archive, length)
  if (length > 0) then
    open (newunit=unit, file=trim(archive)//'/result.json')
    write (unit, '(a, i0, 2(a, es15.7e2), a)') &
      '{"steps": ', step, ', "leastStream":', minval(psi), ', "leastVelocity":', u_least, '}'
    close (unit)
  end if
end program cavity
